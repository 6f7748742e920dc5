import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { localClock } from '../../../local/clock.ts';
import { startGlance } from '../../../local/glance/server.ts';
import { startPool } from '../../../local/pool/pool.ts';
import { randomOf } from '../../scale/random.ts';
import { askApi, PLUGIN_FILE } from '../../support/servers.ts';
import { leftInPool, wrongWithJobs } from '../ended.ts';
import { everyJob } from '../every-job.ts';
import { slotsWatched } from '../watched.ts';
import { GLANCE_TOKEN } from '../world.ts';
import { type Api, startProcess } from './process.ts';

const SPEED = 50;
const HOSTS = 4;
const VMS = 16;
const SLOTS = 2;
/** After so many jobs the heap is looked at. */
const LOOK = 200;
/** Executions that have ended are remembered up to that number, so that the heap grows until then. */
const REMEMBERED = 1000;
const MIB = 2 ** 20;
/** By how much a heap may differ that does not grow. */
const SPREAD = 0.2;
const ROUNDS = 12;
/** Seconds of the clock between two of the janitor's rounds at the end. */
const ROUND_SECONDS = 130;

export interface Soak {
  readonly jobs: number;
  readonly seed: number;
  readonly percent: number;
  readonly tell: (line: string) => void;
}

/**
 * Runs many jobs while so many of 100 calls fail.
 * @returns what was wrong, a line each: a job without an end, something left, a host's slots, a heap that grows
 */
export async function soak({ jobs, seed, percent, tell }: Soak): Promise<string[]> {
  await using starting = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-'));
  starting.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const clock = localClock(SPEED);
  const pool = await startPool({
    ...{ dataDir: join(folder, 'pool'), pluginFile: PLUGIN_FILE, clock, hosts: HOSTS, vms: VMS, diskMib: 1 },
    ...{ guestWrites: false, gcQuietSeconds: 10, gcPairSeconds: 1 },
  });
  starting.defer(() => pool.close());
  const glance = await startGlance({ dataDir: join(folder, 'glance'), clock, token: GLANCE_TOKEN });
  starting.defer(() => glance.close());
  const before = await pool.inventory();
  const slots = slotsWatched(glance, SLOTS);
  const { url, memberUrls, username, password } = pool;
  const vms = pool.vms().map(({ uuid }) => uuid);
  const outcomes = new Map<string, number>();
  const logFile = join(folder, 'service.log');
  const service = await startProcess(
    {
      logFile,
      ...{ pool: { url, memberUrls, username, password }, glanceUrl: glance.url, speed: SPEED, slots: SLOTS },
      ...{ percent, seed, vms, hosts: pool.hosts.map(({ uuid }) => uuid) },
    },
    (told) => {
      if ('upload' in told)
        slots.onCall({
          name: 'host.call_plugin:put_vdis',
          args: [told.upload.host, null, null, told.upload.image],
        });
      if ('ended' in told) outcomes.set(told.ended, (outcomes.get(told.ended) ?? 0) + 1);
    },
  );
  starting.defer(() => service.end());

  const heaps: number[] = [];
  const look = async (done: number) => {
    const heap = (await service.ask('heap')) / MIB;
    heaps.push(heap);
    tell(`${done} jobs: heap ${heap.toFixed(1)} MiB`);
  };
  await look(0);
  const random = randomOf(seed);
  let [asked, done] = [0, 0];
  const worker = async (vm: string) => {
    while (asked < jobs) {
      asked += 1;
      const backup = random() < 0.5 ? { backup: { type: 'soak', keep: 1 } } : {};
      await one(service.api, { vm, ...backup }, () => clock.sleep(10));
      done += 1;
      if (done % LOOK === 0) await look(done);
    }
  };
  await Promise.all(vms.map(worker));
  await service.ask('calm');

  const wrong = async () => {
    const { open, slots, leases } = await service.ask('table');
    if (open + slots.length + leases.length > 0)
      return [`open jobs: ${open}; slots: ${slots.join(', ')}; leases: ${leases.join(', ')}`];
    return [
      ...wrongWithJobs(await everyJob(service.api), glance.images()),
      ...leftInPool(before, await pool.inventory()),
    ];
  };
  let left = await wrong();
  for (let round = 0; round < ROUNDS && left.length > 0; round += 1) {
    await clock.sleep(ROUND_SECONDS);
    await service.ask('janitor');
    left = await wrong();
  }
  const all = await everyJob(service.api);
  const ends = Map.groupBy(all, ({ status, error }) => error?.name ?? status);
  tell([...ends].map(([name, { length }]) => `${name} ${length}`).join(', '));
  if (left.length > 0) {
    for (const record of await service.ask('records')) tell(record);
    for (const line of linesOf(left, await readFile(logFile, 'utf8'))) tell(line);
  }
  const twice = [...outcomes].filter(([, times]) => times > 1);
  return [
    ...left,
    ...slots.wrong(),
    ...twice.map(([id, times]) => `job ${id}: its outcome was told ${times} times`),
    ...grown(heaps),
  ];
}

/** Lines of a log that name what else does, by its id. */
function linesOf(wrong: readonly string[], log: string): string[] {
  const ids = new Set(
    wrong.flatMap((line) => /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/.exec(line)?.[0] ?? []),
  );
  return log.split('\n').filter((line) => [...ids].some((id) => line.includes(id)));
}

/** Of the looks since all that is remembered was there. */
function grown(heaps: readonly number[]): string[] {
  const [first, ...later] = heaps.slice(REMEMBERED / LOOK);
  const last = later.at(-1);
  if (first === undefined || last === undefined || last <= first * (1 + SPREAD)) return [];
  return [`the heap grew from ${first.toFixed(1)} to ${last.toFixed(1)} MiB`];
}

/** Has one job made, and waits for its end, whatever it is. An answer may fail as everything else may. */
async function one(api: Api, wish: object, wait: () => Promise<void>): Promise<void> {
  let id: string | undefined;
  while (id === undefined) {
    const { status, body } = await askApi(api, 'POST', '/snapshots', wish);
    if (status === 202) id = body.id;
    else await wait();
  }
  for (;;) {
    const { status, body } = await askApi(api, 'GET', `/snapshots/${id}`);
    if (status === 200 && body.finishedAt !== null) return;
    await wait();
  }
}
