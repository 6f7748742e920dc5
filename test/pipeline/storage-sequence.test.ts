import { randomUUID } from 'node:crypto';
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { destroySnapshot, isWhole, snapshotOf } from '../local/pool/a-disk.ts';
import { until } from '../local/pool/a-pool.ts';
import { randomOf } from '../scale/random.ts';
import { type DirectWorld, directWorld } from '../support/direct-upload.ts';

const RUNS = Number(process.env.XENSNAP_STORAGE_RUNS ?? 5);
const SEED = Number(process.env.XENSNAP_STORAGE_SEED ?? 1);

/** The names that sm gives: disks, a leaf before it goes, a leaf that is not yet in place, journals. */
const OF_SM = /^((OLD_)?[0-9a-f-]{36}\.vhd(\.new)?|(coalesce|relink|leaf)_[0-9a-f-]{36})$/;

/** What in an SR is not sm's: files and folders of other names, and files that have a name elsewhere, too. */
function strangersIn(folder: string): string[] {
  const names = readdirSync(folder);
  const files = names.map((name) => ({ name, ...linksOf(join(folder, name)) }));
  return files
    .filter(({ name, ino, links }) => {
      const named = files.filter((other) => other.ino === ino).length;
      return !OF_SM.test(name) || links > named;
    })
    .map(({ name, links }) => `${name} (${links} links)`);
}

function linksOf(path: string): { ino: number; links: number } {
  const { ino, nlink } = lstatSync(path);
  return { ino, links: nlink };
}

/**
 * The control plane gives up on a host that hangs in an upload: the snapshot goes, the coalescer makes one file of the
 * live disk and the base copy that the upload reads, and a later snapshot fails half way. Each at a moment of its own.
 */
async function oneSequence(world: DirectWorld, random: () => number, look: () => void): Promise<string> {
  const { pool, client, glance } = world;
  const sr = pool.srs[0]?.uuid ?? '';
  const some = (limit: number) => Math.floor(random() * limit);
  const vm = await pool.addVm({ name: 'seq', diskMib: 8, dataMib: 2, baseCopies: some(2) });
  await vm.writeSome();
  const taken = await snapshotOf(pool, client, vm);
  if (random() < 0.7) await vm.writeSome();

  const answer = Promise.withResolvers<void>();
  glance.faults.add({ method: 'PUT', path: /\/file$/, afterBytes: 1, hold: answer.promise });
  const isReading = Promise.withResolvers<void>();
  const stop = glance.onUpload(({ event }) => event === 'started' && isReading.resolve());
  const upload = world.upload({ jobId: randomUUID(), template: taken.vm, source: 'auto' });
  await Promise.race([isReading.promise, upload]);
  stop();
  await delay(some(60));
  look();
  const processes = await world.pluginProcesses();
  for (const pid of processes) process.kill(pid, 'SIGSTOP');

  await destroySnapshot(client, taken);
  look();
  // The coalescer is through before the next snapshot, or somewhere in its work, where it holds no lock.
  for (let left = 8 + some(80); left > 0; left -= 1) {
    const step = await pool.stepCoalescer(sr);
    look();
    if (step === undefined) break;
  }
  await pool.coalesceNow(sr);
  for (let left = some(3); left > 0; left -= 1) await vm.writeSome();
  pool.failSnapshotHalfWay(sr);
  expect((await client.fails('VM.snapshot', vm.ref, 'fails'))[2]).toMatch(/error 28/);
  look();

  // The host is back, or is restarted.
  const isBack = random() < 0.5;
  for (const pid of processes) process.kill(pid, isBack ? 'SIGCONT' : 'SIGKILL');
  answer.resolve();
  const { state, imageId } = await upload;
  await until(async () => (await world.pluginProcesses()).length === 0);
  look();
  if (state === 'succeeded') expect(await world.differsFrom(taken.uuid, imageId)).toBeNull();

  await vm.writeSome();
  vm.setPowerState('Halted');
  const disk = vm.rootVdi;
  expect(await isWhole(pool, pool.srs[0]?.folder ?? '', disk?.uuid ?? '')).toBe(true);
  await client.call('VM.destroy', vm.ref);
  await client.call('VDI.destroy', disk?.ref);
  await pool.coalesceNow(sr);
  return isBack ? state : 'killed';
}

it(`leaves the live disk whole, and nothing in the SR, in ${RUNS} uploads whose host hangs while sm goes on`, {
  timeout: 60_000 + RUNS * 15_000,
}, async () => {
  await using world = await directWorld();
  const folder = world.pool.srs[0]?.folder ?? '';
  const ended: Record<string, number> = {};
  for (let run = 0; run < RUNS; run += 1) {
    const look = () => expect(strangersIn(folder), `run ${run} of seed ${SEED}`).toEqual([]);
    const outcome = await oneSequence(world, randomOf(SEED * 10_000 + run), look);
    ended[outcome] = (ended[outcome] ?? 0) + 1;
    look();
  }
  console.info('the uploads ended:', JSON.stringify(ended));
});
