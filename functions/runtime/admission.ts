import { SFNClient } from '@aws-sdk/client-sfn';
import type { QueueAccess } from '../queue/wake.ts';
import { type BaseRuntime, lambdaBase } from './base.ts';
import { clientOptions, type Environment, type RuntimeOptions } from './environment.ts';
import { withLines } from './lines.ts';

/** What the queue's consumer works with. */
export interface AdmissionRuntime extends BaseRuntime, QueueAccess {
  readonly sfn: SFNClient;
}

/** Adds the queue, and the way to wake an execution, to the base. Throws an error that names a missing variable. */
export function withQueue(
  base: BaseRuntime,
  env: Environment,
  options: RuntimeOptions = {},
): AdmissionRuntime {
  return { ...withLines(base, env, options), sfn: new SFNClient(clientOptions(env, options, 'SFN')) };
}

let ofThisProcess: AdmissionRuntime | undefined;

/** The runtime of the queue's Lambda: made at the first invocation, kept for the next. */
export function lambdaAdmission(): AdmissionRuntime {
  ofThisProcess ??= withQueue(lambdaBase(), process.env);
  return ofThisProcess;
}
