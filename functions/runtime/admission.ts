import { SFNClient } from '@aws-sdk/client-sfn';
import { SQSClient } from '@aws-sdk/client-sqs';
import { type BaseRuntime, lambdaBase } from './base.ts';
import { clientOptions, type Environment, type RuntimeOptions, required } from './environment.ts';

/** What the queue's consumer works with. */
export interface AdmissionRuntime extends BaseRuntime {
  readonly sfn: SFNClient;
  readonly sqs: SQSClient;
  readonly queueUrl: string;
}

/** Adds the queue, and the way to wake an execution, to the base. Throws an error that names a missing variable. */
export function withQueue(
  base: BaseRuntime,
  env: Environment,
  options: RuntimeOptions = {},
): AdmissionRuntime {
  return {
    ...base,
    sfn: new SFNClient(clientOptions(env, options, 'SFN')),
    // A queue's own URL names a host that only AWS resolves; the configured endpoint counts where there is one.
    sqs: new SQSClient({
      ...clientOptions(env, options, 'SQS'),
      useQueueUrlAsEndpoint: !env.AWS_ENDPOINT_URL_SQS,
    }),
    queueUrl: required(env, 'XENSNAP_QUEUE_URL'),
  };
}

let ofThisProcess: AdmissionRuntime | undefined;

/** The runtime of the queue's Lambda: made at the first invocation, kept for the next. */
export function lambdaAdmission(): AdmissionRuntime {
  ofThisProcess ??= withQueue(lambdaBase(), process.env);
  return ofThisProcess;
}
