import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, vi } from 'vitest';
import type { SnapshotJob } from '../../functions/job.ts';
import { type LocalClock, localClock } from '../../local/clock.ts';
import { type GlanceServer, type GlanceServerOptions, startGlance } from '../../local/glance/server.ts';
import { leftBehind, lookAround } from '../../local/leftovers.ts';
import { type PoolOptions, type SimulatedPool, startPool, type VmSpec } from '../../local/pool/pool.ts';
import { type LocalService, startService } from '../../local/service.ts';
import type { ServiceOptions } from '../../local/service-options.ts';
import { isSettled, jobWhen } from './job-when.ts';
import { type Answer, askApi, glanceOf, PLUGIN_FILE, POOL_NAME, pinned, poolOf } from './servers.ts';

// A scenario starts many servers and processes, which takes a busy machine its time.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

export { askApi, glanceOf, PLUGIN_FILE, POOL_NAME, poolOf } from './servers.ts';

export interface ScenarioOptions {
  readonly pool?: Partial<PoolOptions>;
  readonly glance?: Partial<GlanceServerOptions>;
  readonly service?: Partial<ServiceOptions> | ((servers: Servers) => Partial<ServiceOptions>);
  /** Further VMs, made before the first look around. */
  readonly vms?: readonly VmSpec[];
  /** Something else that is there before the service starts. */
  readonly prepare?: (pool: SimulatedPool) => Promise<unknown>;
  /** How fast the clock runs; 5 by default. More, and a busy machine's steps seem to take longer than they may. */
  readonly speed?: number;
  readonly slots?: number;
  /** Whether the service is ended, and started again or its table read: then that is on the disk. */
  readonly restarts?: boolean;
  /**
   * What is left behind at the end, in the words of `leftBehind`, of which each may be a matcher; by default nothing.
   * `unknown` is for what is cut off in the middle: nobody looks then.
   */
  readonly leaves?: readonly unknown[] | 'unknown';
  /** Takes what ends the scenario's parts, the last one first; by default they end with the test. */
  readonly atEnd?: (close: Close) => void;
}

/** Ends a part; of a test that has failed already it says that it did, as vitest's hooks are told. */
type Close = (context?: { task: { result?: { state: string } } }) => Promise<unknown>;

/** What is there when the service starts. */
export interface Servers {
  readonly pool: SimulatedPool;
  readonly glance: GlanceServer;
}

/**
 * A pool, a Glance and the service on them, all over their real protocols. Gone when the test is over, which fails if
 * anything is left behind then.
 */
export interface Scenario extends Servers {
  readonly service: LocalService;
  readonly clock: LocalClock;
  readonly folder: string;
  readonly logs: string[];
  /** Sends a request to the API. */
  ask(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** Asks for a snapshot; answers the job's id. Throws when it is refused. */
  request(vm: string, more?: object): Promise<string>;
  /** The job once `until` holds; by default once it is finished and nothing is owed. */
  job(jobId: string, until?: (job: SnapshotJob) => boolean): Promise<SnapshotJob>;
  /** Ends the service, and starts another one on the same folder. */
  restart(options?: Partial<ServiceOptions>): Promise<LocalService>;
  /** What is there now that was not when the scenario began. */
  leftBehind(): Promise<string[]>;
}

export async function scenario(options: ScenarioOptions = {}): Promise<Scenario> {
  const atEnd = options.atEnd ?? onTestFinished;
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-'));
  atEnd(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const clock = localClock(options.speed ?? 5);
  const pool = await startPool({
    dataDir: join(folder, 'pool'),
    pluginFile: PLUGIN_FILE,
    clock,
    diskMib: 8,
    vms: 2,
    guestWrites: false,
    ...options.pool,
  });
  atEnd(() => pool.close());
  for (const vm of options.vms ?? []) await pool.addVm(vm);
  await options.prepare?.(pool);
  const glance = await startGlance({ dataDir: join(folder, 'glance'), clock, ...options.glance });
  atEnd(() => glance.close());
  const logs: string[] = [];
  const start = (more: Partial<ServiceOptions> = {}) =>
    startService({
      dataDir: join(folder, 'service'),
      pools: [{ ...poolOf(pool, options.slots), ...pinned(options.pool?.tls) }],
      glance: glanceOf(glance, options.glance),
      clock,
      logLine: (line) => logs.push(line),
      // A day: tests ask for rounds themselves. One that began by itself would be found at work by `leftBehind`.
      janitorSeconds: 86_400,
      memoryTable: !options.restarts,
      ...more,
    });
  const service = await start(
    typeof options.service === 'function' ? options.service({ pool, glance }) : options.service,
  );
  let current = service;
  atEnd(() => current.close());
  const before = await lookAround(service, pool, POOL_NAME);
  const look = async () => {
    await current.settled();
    const now = await lookAround(current, pool, POOL_NAME);
    // A service that is cut off in a call leaves its session, which xapi ends after a day.
    const { sessions } = current === service ? before.pool : now.pool;
    return leftBehind({ ...before, pool: { ...before.pool, sessions } }, now);
  };
  const { leaves = [] } = options;
  atEnd(async (context) => {
    if (leaves === 'unknown' || context?.task.result?.state === 'fail') return;
    expect(await look(), 'left behind').toEqual(leaves);
  });
  const ask: Scenario['ask'] = (...request) => askApi(service, ...request);
  return {
    pool,
    glance,
    service,
    clock,
    folder,
    logs,
    ask,
    async request(vm, more = {}) {
      const { status, body } = await ask('POST', '/snapshots', { vm, ...more });
      if (status !== 202) throw new Error(`${status} ${JSON.stringify(body)}`);
      return body.id;
    },
    job: (jobId, until = isSettled) => jobWhen(service, jobId, until),
    async restart(more) {
      if (!options.restarts) throw new Error('say `restarts` of a scenario whose service is to start again');
      await current.close();
      current = await start(more);
      return current;
    },
    leftBehind: look,
  };
}
