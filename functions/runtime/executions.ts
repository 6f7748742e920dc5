import { SFNClient } from '@aws-sdk/client-sfn';
import { createExecutions, type Executions } from '../executions.ts';
import { type BaseRuntime, lambdaBase } from './base.ts';
import { clientOptions, type Environment, type RuntimeOptions, required } from './environment.ts';

/** What starts, looks at and stops whole jobs works with: the API, reconcile and the janitor. */
export interface Runtime extends BaseRuntime {
  readonly executions: Executions;
}

/** Adds the executions to the base. Throws an error that names a missing variable. */
export function withExecutions(
  base: BaseRuntime,
  env: Environment,
  options: RuntimeOptions = {},
  sfn: SFNClient = new SFNClient(clientOptions(env, options, 'SFN')),
): Runtime {
  const arns = {
    snapshot: required(env, 'XENSNAP_STATE_MACHINE_ARN'),
    restore: required(env, 'XENSNAP_RESTORE_MACHINE_ARN'),
  };
  return { ...base, executions: createExecutions(sfn, arns) };
}

let ofThisProcess: Runtime | undefined;

/** The runtime of a Lambda: made at the first invocation, kept for the next. */
export function lambdaRuntime(): Runtime {
  ofThisProcess ??= withExecutions(lambdaBase(), process.env);
  return ofThisProcess;
}
