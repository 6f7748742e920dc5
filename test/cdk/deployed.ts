import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type HistoryEvent, paginateGetExecutionHistory, type SFNClient } from '@aws-sdk/client-sfn';
import { SQSClient } from '@aws-sdk/client-sqs';
import type { RestoreJob } from '../../functions/job.ts';
import { isKept } from '../../functions/restored.ts';
import { createRuntime, type WholeRuntime } from '../../functions/runtime.ts';
import { startEventSource } from '../../local/aws/event-source.ts';
import type { Asl } from '../../local/aws/states/walk.ts';
import { localClock } from '../../local/clock.ts';
import { type GlanceServer, startGlance } from '../../local/glance/server.ts';
import { leftBehind, lookAround } from '../../local/leftovers.ts';
import { type PoolOptions, type SimulatedPool, startPool } from '../../local/pool/pool.ts';
import { configOf, type ServiceOptions } from '../../local/service-options.ts';
import { restored, takeAway } from '../support/restoring.ts';
import { glanceOf, PLUGIN_FILE, POOL_NAME, poolOf } from '../support/scenario.ts';
import { bundledFunctions } from './assembly.ts';
import { type AwsCalls, watchAwsCalls } from './aws-calls.ts';
import { type Engine, localEngine, type StartEngine } from './engine.ts';
import { type Rights, rightsOf } from './iam/rights.ts';
import { type Answer, type Around, type Functions, functionsOf, type Surroundings } from './invoked.ts';
import { type Resolve, resolverOf } from './resolved.ts';
import type { Synthesized } from './synth.ts';

/** The stack at work: its functions behind an AWS, on a simulated pool and the embedded Glance. */
export interface Deployed extends Pick<Functions, 'scheduled'> {
  /** Sends a request to the API. */
  ask(method: string, path: string, body?: object): Promise<Answer>;
  /** Restores an image, and takes away what was brought back. Answers the job once nothing is owed. */
  restore(image: string, wish?: object): Promise<RestoreJob>;
  /** The events of a job's execution. */
  history(jobId: string): Promise<readonly HistoryEvent[]>;
  /** Resolves when reconcile has dealt with every execution that ended badly. */
  settled(): Promise<void>;
  leftBehind(): Promise<string[]>;
  /** Looks, and prepares what nobody can ask for: the work is done by the bundles. */
  readonly runtime: WholeRuntime;
  readonly pool: SimulatedPool;
  readonly glance: GlanceServer;
  readonly calls: AwsCalls;
  /** The rights that the stack gives in the place where it is deployed. */
  readonly rights: Rights;
}

export interface DeployOptions {
  readonly engine?: StartEngine;
  readonly pool?: Partial<PoolOptions>;
  readonly slotsPerHost?: number;
  readonly around?: Around;
  /** Changes the state machines' documents. */
  readonly change?: (document: Asl) => Asl;
}

/**
 * Deploys a stack with its bundles into this process. Its environment is theirs until the end, which `atEnd` is given:
 * no two can be deployed at the same time.
 */
export async function deploy(
  stack: Synthesized,
  atEnd: (close: () => Promise<unknown>) => void,
  { engine: start = localEngine, around, change = (document) => document, ...more }: DeployOptions = {},
): Promise<Deployed> {
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-'));
  atEnd(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const clock = localClock(5);
  const pool = await startPool({
    dataDir: join(folder, 'pool'),
    pluginFile: PLUGIN_FILE,
    clock,
    diskMib: 8,
    vms: 2,
    guestWrites: false,
    ...more.pool,
  });
  atEnd(() => pool.close());
  const token = `token-${randomUUID()}`;
  const glance = await startGlance({ dataDir: join(folder, 'glance'), clock, token });
  atEnd(() => glance.close());
  const options: ServiceOptions = {
    dataDir: join(folder, 'service'),
    pools: [poolOf(pool, more.slotsPerHost)],
    glance: glanceOf(glance, { token }),
  };
  await mkdir(options.dataDir);
  const { config, secrets } = await configured(stack, options, { pool, token });
  await writeFile(join(folder, 'config.json'), config);

  const deployed = Promise.withResolvers<Surroundings>();
  const functions = functionsOf(stack, deployed.promise, { folder, around });
  const engine = await start({
    stack,
    options,
    clock,
    secrets,
    documents: {
      snapshot: change(documentOf(stack, 'StateMachine')),
      restore: change(documentOf(stack, 'RestoreMachine')),
    },
    handlers: functions,
    calls: deployed.promise.then(({ calls }) => calls),
  });
  atEnd(() => engine.close());
  const resolve = resolverOf(stack, engine.place);
  const machines = machinesOf(stack, resolve);
  const calls = await watchAwsCalls(engine.environment, { ...engine, machines });
  atEnd(() => calls.close());
  deployed.resolve({ engine, resolve, calls });
  const runtime = createRuntime(
    { ...environmentOf(stack, resolve), ...engine.environment, XENSNAP_CONFIG: config },
    { aws: engine.aws },
  );
  atEnd(() => runtime.close());
  const admission = startAdmission(engine, functions, calls);
  atEnd(() => admission.stop());
  const service = { runtime, queue: engine.queue };
  const before = await lookAround(service, pool, POOL_NAME);
  return {
    ask: (...request) => functions.api(...request),
    scheduled: (...trigger) => functions.scheduled(...trigger),
    async restore(image, wish = {}) {
      const { status, body } = await functions.api('POST', '/restores', { image, ...wish });
      if (status !== 202) throw new Error(`${status} ${JSON.stringify(body)}`);
      const done = await restored({ runtime }, String(body.id));
      if (isKept(done)) await takeAway({ runtime }, done);
      return done;
    },
    history: (jobId) => {
      const machine = resolve<string>({
        Ref: stack.idOf('AWS::StepFunctions::StateMachine', calls.machineOf(jobId)),
      });
      return historyOf(runtime.sfn, `${machine.replace(':stateMachine:', ':execution:')}:${jobId}`);
    },
    settled: () => engine.settled(),
    leftBehind: async () => leftBehind(before, await lookAround(service, pool, POOL_NAME)),
    runtime,
    pool,
    glance,
    calls,
    rights: rightsOf(stack, resolve),
  };
}

const MACHINES = ['StateMachine', 'RestoreMachine'];

/** The names of the state machines in the stack, by their ARNs. */
function machinesOf(stack: Synthesized, resolve: Resolve): ReadonlyMap<string, string> {
  return new Map(
    MACHINES.map((path) => [resolve({ Ref: stack.idOf('AWS::StepFunctions::StateMachine', path) }), path]),
  );
}

function documentOf(stack: Synthesized, path: string): Asl {
  return JSON.parse(stack.one('AWS::StepFunctions::StateMachine', path).Properties.DefinitionString);
}

/** All that the functions' environments hold. */
function environmentOf(stack: Synthesized, resolve: Resolve): Record<string, string> {
  const all = bundledFunctions(stack).map(
    ({ name }) => stack.one('AWS::Lambda::Function', name).Properties.Environment.Variables,
  );
  return Object.assign({}, ...all.map((variables) => resolve<object>(variables)));
}

/**
 * The configuration that the stack's functions have, with the pool and the Glance that are here, and what its secrets
 * hold then, by their names.
 */
async function configured(
  stack: Synthesized,
  options: ServiceOptions,
  { pool, token }: { pool: SimulatedPool; token: string },
): Promise<{ config: string; secrets: Record<string, string> }> {
  const [bundle] = bundledFunctions(stack);
  const theirs = JSON.parse(readFileSync(join(dirname(bundle?.file ?? ''), 'config.json'), 'utf8'));
  const ours = await configOf(options);
  const [{ secretId: ofPool }] = theirs.pools;
  const { secretId: ofGlance } = theirs.glance;
  // Of the stack's own id it takes nothing but what is the same in every place.
  const anywhere = resolverOf(stack, { account: '', region: '' });
  const prefix = environmentOf(stack, anywhere).XENSNAP_SECRET_PREFIX;
  return {
    config: JSON.stringify({
      ...ours,
      installation: theirs.installation,
      pools: ours.pools.map((one) => ({ ...one, secretId: ofPool })),
      glance: { ...ours.glance, secretId: ofGlance },
    }),
    secrets: {
      [prefix + ofPool]: JSON.stringify({ username: pool.username, password: pool.password }),
      [prefix + ofGlance]: JSON.stringify({ token }),
    },
  };
}

/** The queue's event source mapping, which works with the function's own rights. */
function startAdmission({ aws, queue, adaptReceiver }: Engine, { admit }: Functions, calls: AwsCalls) {
  calls.note({ caller: 'Admit', action: 'sqs:GetQueueAttributes', resource: queue.queueArn, byLambda: true });
  const { region, credentials } = aws;
  const endpoint = calls.endpointsOf('Admit').AWS_ENDPOINT_URL_SQS ?? '';
  const client = new SQSClient({ region, credentials, endpoint, useQueueUrlAsEndpoint: false });
  adaptReceiver?.(client);
  const source = startEventSource({
    client,
    queueUrl: queue.queueUrl,
    queueArn: queue.queueArn,
    handler: admit,
  });
  return {
    async stop() {
      await source.stop();
      client.destroy();
    },
  };
}

async function historyOf(client: SFNClient, executionArn: string): Promise<HistoryEvent[]> {
  const events: HistoryEvent[] = [];
  for await (const page of paginateGetExecutionHistory({ client }, { executionArn }))
    events.push(...(page.events ?? []));
  return events;
}
