import { join } from 'node:path';
import { SQSClient } from '@aws-sdk/client-sqs';
import type { Environment } from '../functions/runtime/environment.ts';
import { type JobInput, STEPS, type StepName } from '../statemachine/contract.ts';
import restore from '../statemachine/restore.asl.json' with { type: 'json' };
import snapshot from '../statemachine/snapshot.asl.json' with { type: 'json' };
import { LOCAL_AWS } from './aws/in-process.ts';
import { type LocalQueue, startQueue } from './aws/queue.ts';
import { ENDED_ATTEMPTS, rule } from './aws/rules.ts';
import { startSecrets } from './aws/secrets.ts';
import { sqsSender } from './aws/sqs-sender.ts';
import { substitute } from './aws/states/definition.ts';
import type { StatusChangeEvent } from './aws/states/status-event.ts';
import type { Handler } from './aws/states/tasks.ts';
import type { Asl } from './aws/states/walk.ts';
import { startStepFunctions } from './aws/step-functions.ts';
import { startTable } from './aws/table.ts';
import type { LocalClock } from './clock.ts';
import type { LocalHandlers } from './handlers.ts';
import { type ServiceOptions, secretsOf } from './service-options.ts';
import { STEP_HANDLERS } from './steps.ts';
import { tableDefinition } from './table-definition.ts';

const TABLE_NAME = 'xensnap';
/** Names of the state machines. */
const MACHINES = { snapshot: 'xensnap', restore: 'xensnap-restore' };
/** Longer than the admission function's timeout. */
const VISIBILITY_SECONDS = 90;
const FAILURES: readonly string[] = ['FAILED', 'TIMED_OUT', 'ABORTED'];

/** The services of AWS that the functions use, and the rule on an execution's end. */
export interface LocalParts {
  /** Where they are, as the functions read it. */
  readonly environment: Environment;
  readonly queue: LocalQueue;
  /** Resolves when the status events so far have been dealt with. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** The documents of the state machines, with the queue's URL to be filled in. */
const DOCUMENTS = { snapshot, restore };

/** Starts table, queue, secrets and Step Functions, which runs the documents and calls `handlers`. */
export async function startParts(
  options: ServiceOptions,
  clock: LocalClock,
  handlers: LocalHandlers,
  documents: Readonly<Record<keyof typeof DOCUMENTS, Asl>> = DOCUMENTS,
): Promise<LocalParts> {
  await using starting = new AsyncDisposableStack();
  const started = async <T extends { close(): unknown }>(part: T | Promise<T>): Promise<T> => {
    const running = await part;
    starting.defer(async () => {
      await running.close();
    });
    return running;
  };
  const table = await started(
    startTable({
      ...(!options.memoryTable && { dataDir: join(options.dataDir, 'table') }),
      tableName: TABLE_NAME,
      definition: tableDefinition(),
      ...(options.tell && { tell: options.tell }),
    }),
  );
  const queue = await started(
    startQueue({ name: 'xensnap-hosts.fifo', visibilitySeconds: VISIBILITY_SECONDS, clock }),
  );
  const secrets = await started(startSecrets(secretsOf(options)));
  const sqs = new SQSClient({ ...LOCAL_AWS, endpoint: queue.endpoint, useQueueUrlAsEndpoint: false });
  starting.defer(() => sqs.destroy());
  const ending = rule<StatusChangeEvent>({
    target: (event) => handlers.ended(event),
    clock,
    matches: ({ detail }) => FAILURES.includes(detail.status),
    // What is still owed then, the janitor pays.
    attempts: ENDED_ATTEMPTS,
  });
  const states = await started(
    startStepFunctions({
      definitions: {
        [MACHINES.snapshot]: substitute(documents.snapshot, { HostQueueUrl: queue.queueUrl }),
        [MACHINES.restore]: substitute(documents.restore, { HostQueueUrl: queue.queueUrl }),
      },
      resources: resources(options, handlers),
      sendMessage: sqsSender(sqs),
      clock,
      timeoutSpeed: options.limitSpeed ?? 1,
      lambdaSeconds: Object.fromEntries(
        Object.entries(STEPS).map(([name, { lambdaSeconds }]) => [name, lambdaSeconds]),
      ),
      onStatusChange: (event) => ending.deliver(event),
      ...(options.waitSeconds && { waitSeconds: options.waitSeconds }),
      ...(options.onState && { onState: options.onState }),
    }),
  );
  // Started before Step Functions, whose executions' ends it tells.
  starting.defer(() => ending.stop());
  const running = starting.move();
  return {
    environment: {
      XENSNAP_TABLE: TABLE_NAME,
      XENSNAP_STATE_MACHINE_ARN: states.arnOf(MACHINES.snapshot),
      XENSNAP_RESTORE_MACHINE_ARN: states.arnOf(MACHINES.restore),
      XENSNAP_QUEUE_URL: queue.queueUrl,
      AWS_ENDPOINT_URL_DYNAMODB: table.endpoint,
      AWS_ENDPOINT_URL_SFN: states.endpoint,
      AWS_ENDPOINT_URL_SQS: queue.endpoint,
      AWS_ENDPOINT_URL_SECRETS_MANAGER: secrets.endpoint,
    },
    queue,
    settled: () => ending.settled(),
    close: () => running.disposeAsync(),
  };
}

function resources({ aroundStep }: ServiceOptions, { step }: LocalHandlers): Record<string, Handler> {
  const names = Object.keys(STEP_HANDLERS) as StepName[];
  const handlers = names.map((name): [string, Handler] => [
    name,
    async (input) => {
      const state = input as JobInput;
      return aroundStep ? aroundStep(name, state.jobId, () => step(name, state)) : step(name, state);
    },
  ]);
  return Object.fromEntries(handlers);
}
