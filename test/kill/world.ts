import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { JanitorReport } from '../../functions/janitor/finding.ts';
import type { SnapshotJob } from '../../functions/job.ts';
import { type LocalClock, localClock } from '../../local/clock.ts';
import { type GlanceServer, startGlance } from '../../local/glance/server.ts';
import { lookAround, type Surroundings } from '../../local/leftovers.ts';
import { type PoolOptions, type SimulatedPool, startPool } from '../../local/pool/pool.ts';
import { type LocalService, startService } from '../../local/service.ts';
import type { ServiceOptions } from '../../local/service-options.ts';
import type { StepName } from '../../statemachine/contract.ts';
import { isSettled, jobWhen } from '../support/job-when.ts';
import { standBeforeServers } from './wire/aws.ts';
import type { Origin, Who } from './wire/call.ts';
import { startGlanceProxy } from './wire/glance.ts';
import { startKeystone } from './wire/keystone.ts';
import { asNobody, from, ORIGIN_HEADER, written } from './wire/origin.ts';
import { Wire } from './wire/wire.ts';
import { startXapiProxies } from './wire/xapi.ts';

const PLUGIN_FILE = fileURLToPath(new URL('../../plugin/glance', import.meta.url));
const POOL_NAME = 'demo';
export const GLANCE_TOKEN = 'planted-glance-token';
const CREDENTIAL = { id: 'credential', secret: 'planted-keystone-secret' };

/** How fast the clock runs: the waits between two tries are as long as in AWS. */
const SPEED = 50;
/** How fast the limits of calls and steps pass, which handlers do not keep up with as well as waits do. */
const LIMIT_SPEED = 8;

export interface WorldOptions {
  readonly pool?: Partial<PoolOptions>;
  readonly service?: Partial<ServiceOptions>;
  readonly speed?: number;
  readonly limitSpeed?: number;
  readonly slots?: number;
  /** Another world's, whose pool and Glance a second installation is to share. */
  readonly beside?: World;
  /** Told of each state that a job enters, before its handler starts. */
  readonly onState?: (jobId: string, state: string) => void;
  /** Told of each run of a step's handler, before it begins. */
  readonly onStep?: (jobId: string, step: StepName) => void;
}

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the API says
  readonly body: any;
}

/** A pool, a Glance, a Keystone and the service, with a wire between it and all of them. */
export interface World {
  readonly pool: SimulatedPool;
  readonly glance: GlanceServer;
  readonly wire: Wire;
  readonly clock: LocalClock;
  readonly folder: string;
  /** The service's, of all its starts. */
  readonly logs: string[];
  readonly limitSpeed: number;
  /** What Glance takes. */
  readonly imageToken: string;
  /** The present one. */
  readonly service: LocalService;
  /** Sends a request to the API, whose own calls are then those of `who`. */
  ask(method: string, path: string, body?: unknown, who?: Who): Promise<Answer>;
  /** Asks for a snapshot; answers the job's id. @throws Error when it is refused */
  request(vm: string, more?: object): Promise<string>;
  job(jobId: string, until?: (job: SnapshotJob) => boolean): Promise<SnapshotJob>;
  janitor(): Promise<JanitorReport>;
  /** Stops a job's execution, as its operator would in AWS's console. */
  stopExecution(jobId: string): Promise<void>;
  /** Lets nothing of the service in or out any more, ends it, and starts another one on the same folder. */
  kill(): Promise<void>;
  /** Waits for a kill that is under way. */
  killed(): Promise<void>;
  /** Runs `work`, whose calls are then those of `who`. */
  as<T>(who: Who, job: string, work: () => T): T;
  lookAround(): Promise<Surroundings>;
  close(): Promise<void>;
}

/** Starts a world. It needs no test runner; who starts it closes it. */
export async function startWorld(options: WorldOptions = {}): Promise<World> {
  await using starting = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-'));
  starting.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  starting.defer(standBeforeServers());
  const wire = new Wire();
  const clock = options.beside?.clock ?? localClock(options.speed ?? SPEED);
  const { limitSpeed = LIMIT_SPEED } = options;
  const servers = options.beside ?? (await startServers(folder, clock, options, starting));
  const { pool, glance } = servers;
  const members = await startXapiProxies(wire, [pool.url, ...pool.memberUrls]);
  for (const proxy of members) starting.defer(() => proxy.close());
  const images = await startGlanceProxy(wire, glance.url);
  starting.defer(() => images.close());
  const keystone = await startKeystone(wire, clock, GLANCE_TOKEN);
  starting.defer(() => keystone.close());
  const logs: string[] = [];
  let generation = 0;
  let dying = false;
  let killing = Promise.resolve();
  const origin = (who: Who, job?: string): Origin => ({ wire, generation, who, ...(job && { job }) });
  const start = () =>
    from(origin('admission'), () => {
      const of = generation;
      return startService({
        dataDir: join(folder, 'service'),
        pools: [
          {
            name: POOL_NAME,
            addresses: members.map(({ url }) => url),
            ...{ username: pool.username, password: pool.password, slotsPerHost: options.slots ?? 2 },
          },
        ],
        glance: { url: images.url, keystone: { url: keystone.url, credential: CREDENTIAL } },
        ...{ clock, limitSpeed, logLine: (line: string) => logs.push(line) },
        // Rounds are made when they are asked for.
        janitorSeconds: 86_400,
        ...(options.onState && { onState: options.onState }),
        // Nothing is done here but to know who calls.
        aroundStep: (step, job, run) => {
          options.onStep?.(job, step as StepName);
          return from({ ...{ wire, generation: of, who: step as StepName }, job }, run);
        },
        ...options.service,
      });
    });
  let service = await start();
  starting.defer(() => service.close());
  const ask: World['ask'] = async (method, path, body, who = 'request') => {
    const response = await asNobody(() =>
      fetch(`${service.apiUrl}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${service.token}`,
          [ORIGIN_HEADER]: written(origin(who)),
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }),
    );
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
  };
  const running = starting.move();
  return {
    ...{ pool, glance, wire, clock, folder, logs, limitSpeed, ask, imageToken: GLANCE_TOKEN },
    get service() {
      return service;
    },
    async request(vm, more = {}) {
      const { status, body } = await ask('POST', '/snapshots', { vm, ...more });
      if (status !== 202) throw new Error(`${status} ${JSON.stringify(body)}`);
      return body.id;
    },
    job: (jobId, until = isSettled) => jobWhen(service, jobId, until),
    janitor: () => from(origin('janitor'), () => service.janitor()),
    async stopExecution(id) {
      const { store, executions } = service.runtime;
      const machine = (await store.jobs.get(id))?.machine ?? 'snapshot';
      await from(origin('cancel', id), () => executions.stop({ machine, id }, 'planted'));
    },
    kill() {
      // One that is dying already dies once.
      if (dying) return killing;
      dying = true;
      wire.kill(generation);
      killing = (async () => {
        await service.close();
        generation += 1;
        service = await start();
        dying = false;
      })();
      return killing;
    },
    killed: () => killing,
    as: (who, job, work) => from(origin(who, job), work),
    lookAround: () => lookAround(service, pool, POOL_NAME),
    close: () => running.disposeAsync(),
  };
}

async function startServers(
  folder: string,
  clock: LocalClock,
  options: WorldOptions,
  starting: AsyncDisposableStack,
): Promise<Pick<World, 'pool' | 'glance'>> {
  const pool = await startPool({
    dataDir: join(folder, 'pool'),
    pluginFile: PLUGIN_FILE,
    clock,
    // The coalescer does not keep the next job waiting.
    ...{ diskMib: 2, vms: 2, guestWrites: false, gcQuietSeconds: 10, gcPairSeconds: 1, keepModels: true },
    ...options.pool,
  });
  starting.defer(() => pool.close());
  const glance = await startGlance({ dataDir: join(folder, 'glance'), clock, token: GLANCE_TOKEN });
  starting.defer(() => glance.close());
  return { pool, glance };
}
