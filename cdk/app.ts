import { App, type AppProps, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { TemplateLimits } from './limits.ts';
import { settingsIn } from './settings-file.ts';
import { XensnapStack } from './stack.ts';

/**
 * The CDK app: one stack by the context's `xensnap`, which may name a file. It is refused where it is beyond a limit of
 * AWS, or where AWS's own rules for solutions find something that is not acknowledged. Throws a ConfigurationError that
 * names each wrong field.
 */
export function createApp(props: AppProps = {}): { app: App; stack: XensnapStack } {
  const app = new App({ analyticsReporting: false, ...props });
  const stack = new XensnapStack(app, 'Xensnap', settingsIn(app.node.tryGetContext('xensnap')));
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app), new TemplateLimits());
  return { app, stack };
}
