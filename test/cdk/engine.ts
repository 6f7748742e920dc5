import type { Agent } from 'node:http';
import type { SQSClient } from '@aws-sdk/client-sqs';
import type { Environment, RuntimeOptions } from '../../functions/runtime/environment.ts';
import { LOCAL_AWS } from '../../local/aws/in-process.ts';
import type { LocalQueue } from '../../local/aws/queue.ts';
import { startSecrets } from '../../local/aws/secrets.ts';
import type { Asl } from '../../local/aws/states/walk.ts';
import type { LocalClock } from '../../local/clock.ts';
import type { LocalHandlers } from '../../local/handlers.ts';
import { startParts } from '../../local/parts.ts';
import type { ServiceOptions } from '../../local/service-options.ts';
import type { AwsCalls } from './aws-calls.ts';
import type { Place } from './resolved.ts';
import type { Synthesized } from './synth.ts';

/** What is deployed onto an engine. */
export interface Deployment {
  readonly stack: Synthesized;
  readonly options: ServiceOptions;
  readonly clock: LocalClock;
  /** What Secrets Manager holds, by name. */
  readonly secrets: Readonly<Record<string, string>>;
  /** The state machines' documents, with their placeholders. */
  readonly documents: Readonly<Record<'snapshot' | 'restore', Asl>>;
  /** What Step Functions call, and the rule on an execution's bad end. */
  readonly handlers: LocalHandlers;
  /** Where calls are noted, once it is there. */
  readonly calls: Promise<AwsCalls>;
}

/** AWS, or what stands in for it, with everything that the functions use. */
export interface Engine {
  readonly place: Place;
  /** The endpoints, as the SDK reads them. */
  readonly environment: Environment;
  readonly agent?: Agent;
  /** What a client needs, beside the endpoints. */
  readonly aws: NonNullable<RuntimeOptions['aws']>;
  readonly queue: LocalQueue;
  /** Changes how the event source mapping's client receives, where that takes more than a long poll. */
  readonly adaptReceiver?: (client: SQSClient) => void;
  /** Resolves when the status events so far have been dealt with. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

export type StartEngine = (deployment: Deployment) => Promise<Engine>;

/** Starts the stand-ins that `npm start` runs on. They read their own names of things, which the place tells. */
export const localEngine: StartEngine = async (deployment) => {
  const { stack, options, clock, documents, handlers } = deployment;
  const noteQueued = async (job: string) => {
    const calls = await deployment.calls;
    const resource = parts.queue.queueArn;
    calls.note({ caller: calls.machineOf(job), action: 'sqs:SendMessage', resource });
  };
  const parts = await startParts(
    {
      ...options,
      onState: (job, state) => {
        if (state === 'QueueForHost') void noteQueued(job);
      },
    },
    clock,
    handlers,
    documents,
  );
  const secrets = startSecrets(deployment.secrets);
  const { XENSNAP_TABLE: table = '', XENSNAP_STATE_MACHINE_ARN: snapshot = '' } = parts.environment;
  const { XENSNAP_RESTORE_MACHINE_ARN: restore = '' } = parts.environment;
  return {
    place: {
      account: '000000000000',
      region: LOCAL_AWS.region,
      called: {
        [stack.idOf('AWS::DynamoDB::Table', 'Table')]: table,
        [stack.idOf('AWS::SQS::Queue', 'HostQueue')]: parts.queue.queueUrl,
        [stack.idOf('AWS::StepFunctions::StateMachine', 'StateMachine')]: snapshot,
        [stack.idOf('AWS::StepFunctions::StateMachine', 'RestoreMachine')]: restore,
      },
    },
    environment: { ...parts.environment, AWS_ENDPOINT_URL_SECRETS_MANAGER: secrets.endpoint },
    agent: LOCAL_AWS.requestHandler.httpAgent,
    aws: LOCAL_AWS,
    queue: parts.queue,
    settled: () => parts.settled(),
    async close() {
      secrets.close();
      await parts.close();
    },
  };
};
