import { randomUUID } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { SQSClient } from '@aws-sdk/client-sqs';
import { serve } from '@hono/node-server';
import { createApi } from '../functions/api/app.ts';
import type { Config } from '../functions/config.ts';
import type { JanitorReport } from '../functions/janitor/finding.ts';
import { tidy } from '../functions/janitor.ts';
import { jsonLog } from '../functions/log.ts';
import { admitBatch } from '../functions/queue/admit.ts';
import { openJobs, reconcileEvent, reconcileStranded } from '../functions/reconcile.ts';
import { createRuntime, type Runtime } from '../functions/runtime.ts';
import { translate } from '../functions/translate.ts';
import type { JobInput } from '../statemachine/contract.ts';
import definition from '../statemachine/snapshot.asl.json' with { type: 'json' };
import { startEventSource } from './aws/event-source.ts';
import { type LocalQueue, startQueue } from './aws/queue.ts';
import { rule } from './aws/rules.ts';
import { every } from './aws/schedule.ts';
import { startSecrets } from './aws/secrets.ts';
import { sqsSender } from './aws/sqs-sender.ts';
import { substitute } from './aws/states/definition.ts';
import type { StatusChangeEvent } from './aws/states/status-event.ts';
import { startStepFunctions } from './aws/step-functions.ts';
import { startTable } from './aws/table.ts';
import { type LocalClock, localClock } from './clock.ts';
import { STEP_HANDLERS } from './steps.ts';
import { tableDefinition } from './table-definition.ts';

/** A pool that the service works on, real or simulated. */
export interface ServicePool {
  readonly name: string;
  readonly driver?: 'xenapi' | 'libvirt';
  readonly addresses: readonly string[];
  readonly fingerprints?: readonly string[];
  readonly ca?: string;
  readonly username: string;
  readonly password: string;
  readonly slotsPerHost?: number;
  readonly srSlots?: Readonly<Record<string, number>>;
}

export interface ServiceOptions {
  /** Holds the table and the installation's name; what a killed service left there is reconciled at the start. */
  readonly dataDir: string;
  readonly pools: readonly ServicePool[];
  readonly glance: { readonly url: string; readonly token?: string; readonly ca?: string };
  /** 0, the default, takes any free one. */
  readonly apiPort?: number;
  readonly clock?: LocalClock;
  /** Takes the log's lines, JSON each; without it there is no log. */
  readonly logLine?: (line: string) => void;
  readonly relock?: Config['relock'];
  readonly timings?: Partial<Config['timings']>;
  /** Waits of the state machine, by state, that last so many seconds whatever the step says; for tests. */
  readonly waitSeconds?: Record<string, number>;
  /** Runs a step's handler, or fails in its place: where tests break things. */
  readonly aroundStep?: (step: string, jobId: string, run: () => Promise<unknown>) => Promise<unknown>;
  /** Told of each state that a job enters. */
  readonly onState?: (jobId: string, state: string) => void;
}

/** The whole of xensnap on one machine: the same state machine and handlers as in AWS, behind the same protocols. */
export interface LocalService {
  readonly apiUrl: string;
  readonly runtime: Runtime;
  readonly queue: LocalQueue;
  /** One round of the janitor, now. */
  janitor(dryRun?: boolean): Promise<JanitorReport>;
  /** That every pool and Glance answer and take the login. @throws an error with a message for the operator */
  check(): Promise<void>;
  /** Stops every job and tidies up after it, as far as that can be done in a minute. */
  drain(): Promise<void>;
  /** Resolves when the status events so far have been dealt with. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

const JANITOR_SECONDS = 900;
const AWS = { region: 'us-east-1', credentials: { accessKeyId: 'local', secretAccessKey: 'local' } };
const TABLE_NAME = 'xensnap';
/** Seconds that are too long to wait for on one machine, where nobody pays for a look. */
const TIMINGS = {
  snapshotPollSeconds: 1,
  coalescePollSeconds: 2,
  uploadPollMinSeconds: 1,
  uploadPollMaxSeconds: 10,
  uploadRetrySeconds: 10,
  vmPollSeconds: 5,
  admissionRetrySeconds: 1,
};

/** Starts the service. What it started is stopped again when one of its parts can't. */
export async function startService(options: ServiceOptions): Promise<LocalService> {
  const clock = options.clock ?? localClock();
  const log = jsonLog(options.logLine ?? (() => {}));
  const closers: (() => Promise<unknown>)[] = [];
  const started = async <T>(part: Promise<T>, close: (part: T) => Promise<unknown>): Promise<T> => {
    const running = await part;
    closers.unshift(() => close(running));
    return running;
  };
  const close = async () => {
    for (const closer of closers.splice(0)) await closer();
  };
  try {
    await mkdir(options.dataDir, { recursive: true });
    const table = await started(
      startTable({
        dataDir: join(options.dataDir, 'table'),
        tableName: TABLE_NAME,
        definition: tableDefinition(),
      }),
      (part) => part.close(),
    );
    const queue = await started(
      startQueue({ name: 'xensnap-hosts.fifo', visibilitySeconds: 90, clock }),
      (part) => part.close(),
    );
    const secrets = await started(startSecrets({ secrets: secretsOf(options) }), (part) => part.close());
    const sqs = new SQSClient({ ...AWS, endpoint: queue.endpoint, useQueueUrlAsEndpoint: false });
    closers.unshift(async () => sqs.destroy());

    let runtime: Runtime | undefined;
    const ready = () => {
      if (runtime) return runtime;
      throw new Error('the service is still starting');
    };
    const reconciling = rule<StatusChangeEvent>({
      target: (event) => reconcileEvent(event, ready()),
      clock,
      matches: ({ detail }) => ['FAILED', 'TIMED_OUT', 'ABORTED'].includes(detail.status),
      // For some minutes, as Lambda does with an event. What is owed then, the janitor pays.
      attempts: 8,
    });
    const states = await started(
      startStepFunctions({
        definition: substitute(definition, { HostQueueUrl: queue.queueUrl, ...lambdaArns() }),
        resources: Object.fromEntries(
          Object.entries(STEP_HANDLERS).map(([name, handler]) => [
            name,
            (state: unknown) => {
              const run = () => handler.in(ready())(state as never);
              return options.aroundStep?.(name, (state as JobInput).jobId, run) ?? run();
            },
          ]),
        ),
        sendMessage: sqsSender(sqs),
        clock,
        // Handlers do real work, which a fast clock does not speed up.
        timeoutSpeed: 1,
        onStatusChange: (event) => reconciling.deliver(event),
        ...(options.waitSeconds && { waitSeconds: options.waitSeconds }),
        ...(options.onState && { onState: options.onState }),
      }),
      (part) => part.close(),
    );
    runtime = await started(
      Promise.resolve(
        createRuntime(
          {
            XENSNAP_CONFIG: JSON.stringify(await configOf(options)),
            XENSNAP_TABLE: TABLE_NAME,
            XENSNAP_STATE_MACHINE_ARN: states.stateMachineArn,
            XENSNAP_QUEUE_URL: queue.queueUrl,
            AWS_ENDPOINT_URL_DYNAMODB: table.endpoint,
            AWS_ENDPOINT_URL_SFN: states.url,
            AWS_ENDPOINT_URL_SQS: queue.endpoint,
            AWS_ENDPOINT_URL_SECRETS_MANAGER: secrets.url,
          },
          { clock, log, aws: AWS, wait: (seconds) => clock.sleep(seconds) },
        ),
      ),
      (part) => part.close(),
    );
    closers.unshift(() => reconciling.stop());
    // Nothing else works on this folder, so whatever is open was left by a service that was killed.
    await reconcileStranded(runtime);

    const admission = startEventSource({
      client: sqs,
      queueUrl: queue.queueUrl,
      queueArn: queue.queueArn,
      handler: (event) => admitBatch(event, ready()),
      concurrency: 4,
      onError: (error) => log.error('admission failed', { reason: String(error) }),
    });
    closers.unshift(() => admission.stop());
    const janitor = (dryRun = false) => tidy(ready(), { dryRun });
    const rounds = every({
      seconds: JANITOR_SECONDS,
      clock,
      run: () => janitor(),
      onError: (error) => log.error('the janitor failed', { reason: String(error) }),
    });
    closers.unshift(() => rounds.stop());
    const api = await started(listen(runtime, janitor, options.apiPort ?? 0), (part) => part.close());
    return {
      apiUrl: api.url,
      runtime,
      queue,
      janitor,
      check: () => check(ready()),
      drain: () => drain(ready(), clock),
      settled: () => reconciling.settled(),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Lambdas are referred to by version, as in AWS. */
function lambdaArns(): Record<string, string> {
  const arn = (name: string) => `arn:aws:lambda:${AWS.region}:000000000000:function:xensnap-${name}:1`;
  return Object.fromEntries(Object.keys(STEP_HANDLERS).map((name) => [`${name}Arn`, arn(name)]));
}

async function check(runtime: Runtime): Promise<void> {
  try {
    for (const { name, driver } of runtime.config.pools)
      if (driver === 'xenapi') await runtime.withSession(name, (xapi) => xapi.call('pool.get_all_records'));
    await runtime.glance.check();
  } catch (error) {
    throw translate(error);
  }
}

const DRAIN_SECONDS = 60;

async function drain(runtime: Runtime, clock: LocalClock): Promise<void> {
  const { jobs } = runtime.store;
  const deadline = clock.now().getTime() + DRAIN_SECONDS * 1000;
  for await (const { id } of openJobs(runtime)) await runtime.executions.stop(id, 'The service was stopped.');
  // The status events do the work; what they could not pay stays on record for the next start.
  while (clock.now().getTime() < deadline) {
    const { items } = await jobs.list('open');
    if (items.length === 0) return;
    await clock.sleep(0.2);
  }
}

async function listen(
  runtime: Runtime,
  janitor: (dryRun: boolean) => Promise<JanitorReport>,
  port: number,
): Promise<{ url: string; close(): Promise<void> }> {
  const { fetch } = createApi(runtime, { janitor });
  return new Promise((resolve, reject) => {
    const server = serve({ fetch, port, hostname: '127.0.0.1' }, ({ port: bound }: AddressInfo) =>
      resolve({
        url: `http://127.0.0.1:${bound}`,
        close: () =>
          new Promise<void>((done) => {
            server.close(() => done());
            if ('closeAllConnections' in server) server.closeAllConnections();
          }),
      }),
    );
    server.once('error', reject);
  });
}

async function configOf(options: ServiceOptions) {
  const { url, token, ca } = options.glance;
  return {
    installation: await installationOf(options.dataDir),
    relock: options.relock ?? 'lock',
    pools: options.pools.map(({ username, password, ...pool }) => ({
      ...pool,
      secretId: `pool/${pool.name}`,
    })),
    glance: { url, ...(ca !== undefined && { ca }), ...(token !== undefined && { secretId: 'glance' }) },
    timings: { ...TIMINGS, ...options.timings },
  };
}

function secretsOf({ pools, glance }: ServiceOptions): Record<string, string> {
  const ofPools = pools.map(({ name, username, password }) => [
    `pool/${name}`,
    JSON.stringify({ username, password }),
  ]);
  const ofGlance = glance.token === undefined ? [] : [['glance', JSON.stringify({ token: glance.token })]];
  return Object.fromEntries([...ofPools, ...ofGlance]);
}

/** The name under which this folder's service marks what it makes; random, so that two services tell theirs apart. */
async function installationOf(dataDir: string): Promise<string> {
  const file = join(dataDir, 'installation');
  const name = `local-${randomUUID().slice(0, 8)}`;
  try {
    await writeFile(file, `${name}\n`, { flag: 'wx' });
    return name;
  } catch {
    return (await readFile(file, 'utf8')).trim();
  }
}
