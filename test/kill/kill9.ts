import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { localClock } from '../../local/clock.ts';
import { type GlanceServer, startGlance } from '../../local/glance/server.ts';
import { lookAround } from '../../local/leftovers.ts';
import { type SimulatedPool, startPool } from '../../local/pool/pool.ts';
import { startService } from '../../local/service.ts';
import { randomOf } from '../scale/random.ts';
import { askApi, glanceOf, PLUGIN_FILE, poolOf } from '../support/servers.ts';
import { leftInPool, wrongWithJobs } from './ended.ts';
import { everyJob } from './every-job.ts';
import { killService, type RealService, spawnService, startRealService } from './real-service.ts';

export interface Kills {
  readonly seed: number;
  readonly kills: number;
  /** Takes a line for each kill. */
  readonly tell: (line: string) => void;
}

/** Real seconds after the last start until nothing may be left: pool, Glance and service all run in real time. */
const CLEAN_SECONDS = 60;
/** A killed start dies within that of its beginning, most of which is Node's loading. */
const START_MS = 2500;
/** About as long as a job takes here, and a little: the kill may come when all have ended. */
const BUSY_MS = 9000;
/** What `xensnap local` calls a pool that is named by its URL. */
const POOL_NAME = 'pool';
const MINUTE = 60_000;

/** All that survives the service: the pool, Glance, and the folder. */
interface Site {
  readonly folder: string;
  readonly pool: SimulatedPool;
  readonly glance: GlanceServer;
  readonly flags: readonly string[];
}

/**
 * Kills the service again and again at random moments, with jobs and scheduled backups under way, and starts it anew on
 * the same folder: within a minute nothing is left of them, and the next jobs succeed.
 * @throws Error that says what was wrong after which kill
 */
export async function killAgainAndAgain({ seed, kills, tell }: Kills): Promise<void> {
  const random = randomOf(seed);
  await using site = await buildSite();
  for (let nth = 1; nth <= kills; nth += 1) await killOnce(site, nth, random, tell);
}

async function buildSite(): Promise<Site & AsyncDisposable> {
  await using starting = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-'));
  starting.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const pool = await startPool({
    ...{ dataDir: join(folder, 'pool'), pluginFile: PLUGIN_FILE, hosts: 2, vms: 6, diskMib: 4 },
    // What a killed job leaves of a chain would hold up the next one for as long as a real coalescer takes.
    ...{ guestWrites: false, gcQuietSeconds: 1, gcPairSeconds: 0 },
  });
  starting.defer(() => pool.close());
  const glance = await startGlance({ dataDir: join(folder, 'glance') });
  starting.defer(() => glance.close());
  await writeFile(join(folder, 'password'), `${pool.password}\n`);
  const addresses = [pool.url, ...pool.memberUrls].join(',');
  const flags = [
    ...['--pool', addresses, '--user', pool.username, '--password-file', join(folder, 'password')],
    ...['--glance', glance.url, '--api-port', '0', '--data', join(folder, 'data')],
  ];
  const running = starting.move();
  return { folder, pool, glance, flags, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

async function killOnce(site: Site, nth: number, random: () => number, tell: Kills['tell']): Promise<void> {
  const { folder, pool, flags } = site;
  const names = pool.vms().map(({ name }) => name);
  const backedUp = names.filter(() => random() < 0.4);
  const asked = names.filter((name) => !backedUp.includes(name) && random() < 0.8);
  const wait = Math.round(random() * BUSY_MS);
  const killedStarts = Array.from({ length: Math.floor(random() * 3) }, () => random() * START_MS);
  const before = await pool.inventory();
  await scheduleDue(site, backedUp);

  await using first = await startRealService(flags, folder);
  for (const vm of asked) await accepted(first, vm);
  await delay(wait);
  const phases = (await everyJob(first)).filter(({ finishedAt }) => !finishedAt).map(({ phase }) => phase);
  await killService(first.process);
  for (const after of killedStarts) {
    const child = spawnService(flags, folder);
    await delay(after);
    await killService(child);
  }

  await using service = await startRealService(flags, folder);
  const started = Date.now();
  const wrong = async () => [
    ...wrongWithJobs(await everyJob(service), site.glance.images()),
    ...leftInPool(before, await pool.inventory()),
  ];
  for (let left = await wrong(); left.length > 0; left = await wrong()) {
    if (Date.now() - started > CLEAN_SECONDS * 1000)
      throw new Error(`${CLEAN_SECONDS} s after kill ${nth} there is left:\n${left.join('\n')}`);
    await delay(100);
  }
  const cleanSeconds = ((Date.now() - started) / 1000).toFixed(1);
  const moment = `${wait} ms after the last request, ${killedStarts.length} starts killed too`;
  tell(`kill ${nth}: ${moment}; at work: ${phases.join(', ') || 'none'}; clean after ${cleanSeconds} s`);
  await succeedNext(service, names);
  service.process.kill('SIGTERM');
  await once(service.process, 'exit');
  if (service.process.exitCode !== 0) throw new Error(`the service ended with ${service.process.exitCode}`);
  await checkTable(site, nth);
}

/** Leaves schedules of the VMs that fell due five minutes ago, while nothing ran: the next start begins their backups. */
async function scheduleDue(site: Site, vms: readonly string[]): Promise<void> {
  const clock = { ...localClock(), now: () => new Date(Date.now() - 10 * MINUTE) };
  await using service = await inProcess(site, { clock });
  const { schedules } = service.runtime.store;
  for (const { id } of await schedules.all()) await accept(service, 'DELETE', `/schedules/${id}`);
  const at = new Date(Date.now() - 5 * MINUTE).toISOString().slice(11, 16);
  for (const vm of vms) await accept(service, 'POST', '/schedules', { vm, daily: { at }, keep: 2 });
}

/** No job, lease or slot is left on record of a service that has ended. */
async function checkTable(site: Site, nth: number): Promise<void> {
  await using service = await inProcess(site);
  const { openJobs, leases, slots } = await lookAround(service, site.pool, POOL_NAME);
  const left = [...openJobs, ...leases, ...slots];
  if (left.length > 0)
    throw new Error(`after kill ${nth} the table has ${JSON.stringify({ openJobs, leases, slots })}`);
}

async function inProcess({ folder, pool, glance }: Site, more: object = {}) {
  const service = await startService({
    dataDir: join(folder, 'data', 'service'),
    pools: [{ ...poolOf(pool), name: POOL_NAME }],
    glance: glanceOf(glance),
    ...more,
  });
  return { ...service, [Symbol.asyncDispose]: () => service.close() };
}

type Api = Pick<RealService, 'apiUrl' | 'token'> | Awaited<ReturnType<typeof inProcess>>;

async function accept(service: Api, method: string, path: string, body?: unknown) {
  const answer = await askApi({ ...service, token: service.token }, method, path, body);
  if (answer.status >= 300)
    throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}

async function accepted(service: Api, vm: string): Promise<string> {
  return (await accept(service, 'POST', '/snapshots', { vm })).id;
}

/** What a killed service has left holds up nobody. */
async function succeedNext(service: Api, vms: readonly string[]): Promise<void> {
  const ids = await Promise.all(vms.map((vm) => accepted(service, vm)));
  for (const id of ids) {
    let job = await accept(service, 'GET', `/snapshots/${id}`);
    while (job.finishedAt === null || job.owes.length > 0) {
      await delay(200);
      job = await accept(service, 'GET', `/snapshots/${id}`);
    }
    if (job.status !== 'succeeded') throw new Error(`the next job of ${job.vm.name}: ${JSON.stringify(job)}`);
  }
}
