import { SQSClient } from '@aws-sdk/client-sqs';
import { type QueueAccess, wakeFirst } from '../queue/wake.ts';
import { type BaseRuntime, lambdaBase } from './base.ts';
import { clientOptions, type Environment, type RuntimeOptions, required } from './environment.ts';

/** The queue, by which lines are served and woken. Throws an error that names a missing variable. */
export function queueAccess(env: Environment, options: RuntimeOptions = {}): QueueAccess {
  return {
    // A queue's own URL names a host that only AWS resolves; the configured endpoint counts where there is one.
    sqs: new SQSClient({
      ...clientOptions(env, options, 'SQS'),
      useQueueUrlAsEndpoint: !env.AWS_ENDPOINT_URL_SQS,
    }),
    queueUrl: required(env, 'XENSNAP_QUEUE_URL'),
  };
}

/** Adds the queue to the base, so that lines can be woken. Throws an error that names a missing variable. */
export function withLines(
  base: BaseRuntime,
  env: Environment,
  options: RuntimeOptions = {},
): BaseRuntime & QueueAccess {
  const queue = queueAccess(env, options);
  const { store, log } = base;
  const deps = { ...queue, counters: store.counters, log };
  return { ...base, ...queue, wake: (counter, waiting) => wakeFirst(counter, waiting, deps) };
}

let ofThisProcess: BaseRuntime | undefined;

/** The runtime of a step that wakes lines: made at the first invocation, kept for the next. */
export function lambdaLines(): BaseRuntime {
  ofThisProcess ??= withLines(lambdaBase(), process.env);
  return ofThisProcess;
}
