import { type AdmissionRuntime, withQueue } from './runtime/admission.ts';
import { createBase } from './runtime/base.ts';
import type { Environment, RuntimeOptions } from './runtime/environment.ts';
import { type Runtime, withExecutions } from './runtime/executions.ts';

/** Everything at once, for a process in which all functions run. A Lambda has only what its work needs. */
export interface WholeRuntime extends Runtime, AdmissionRuntime {}

/** Builds the whole runtime out of the environment. Throws an error that names the variable or field at fault. */
export function createRuntime(env: Environment, options: RuntimeOptions = {}): WholeRuntime {
  const base = createBase(env, options);
  const admission = withQueue(base, env, options);
  return {
    ...admission,
    ...withExecutions(admission, env, options, admission.sfn),
    async close() {
      await base.close();
      admission.sfn.destroy();
      admission.sqs.destroy();
    },
  };
}
