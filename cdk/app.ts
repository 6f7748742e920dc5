import { App, type AppProps, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { settingsIn } from './settings-file.ts';
import { XensnapStack } from './stack.ts';

/**
 * The CDK app: one stack by the context's `xensnap`, which may name a file, and AWS's own rules for solutions, which refuse it when they
 * find something that is not acknowledged. Throws a ConfigurationError that names each wrong field.
 */
export function createApp(props: AppProps = {}): { app: App; stack: XensnapStack } {
  const app = new App({ analyticsReporting: false, ...props });
  const stack = new XensnapStack(app, 'Xensnap', settingsIn(app.node.tryGetContext('xensnap')));
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  return { app, stack };
}
