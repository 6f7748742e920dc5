import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { VmHandle } from '../../local/pool/pool.ts';
import { destroySnapshot, type Snapshot, snapshotOf } from '../local/pool/a-disk.ts';
import { randomOf } from '../scale/random.ts';
import { type DirectWorld, directWorld, type Outcome } from '../support/direct-upload.ts';

const RUNS = Number(process.env.XENSNAP_STORAGE_RUNS ?? 8);
const SEED = Number(process.env.XENSNAP_STORAGE_SEED ?? 1);
const DISK_MIB = 48;
const LONGEST_PAUSE_MILLISECONDS = 15;

type Random = () => number;

/**
 * Lets the coalescer work with pauses after each step, until it has ended or `isOver`. It is not left where it holds the
 * SR's lock, since whatever comes next would wait for that.
 */
async function coalesceSlowly(
  { pool }: DirectWorld,
  sr: string,
  random: Random,
  isOver: () => boolean,
): Promise<void> {
  while ((!isOver() || pool.isSrLocked(sr)) && (await pool.stepCoalescer(sr)) !== undefined)
    await delay(random() * LONGEST_PAUSE_MILLISECONDS);
}

/** Here and there, so that merging finds blocks which the parent does not hold yet. */
async function writeAbout(vm: VmHandle, random: Random): Promise<void> {
  for (let count = 0; count < 5; count += 1)
    await vm.writeAt(Math.floor(random() * DISK_MIB) * 2 ** 20, Buffer.alloc(4096, 1 + random() * 255));
}

/** What the coalescer will find: snapshots in a row, all gone again but one. */
async function makeWork({ pool, client }: DirectWorld, vm: VmHandle, random: Random): Promise<Snapshot> {
  const others: Snapshot[] = [];
  const before = 1 + Math.floor(random() * 3);
  for (let count = 0; count < before; count += 1) {
    await writeAbout(vm, random);
    others.push(await snapshotOf(pool, client, vm));
  }
  await writeAbout(vm, random);
  const kept = await snapshotOf(pool, client, vm);
  await writeAbout(vm, random);
  for (const each of others) await destroySnapshot(client, each);
  return kept;
}

/** The VM is deleted with its disk: the snapshot is the only leaf then, and is merged as one, renames and all. */
async function deleteVm({ client }: DirectWorld, vm: VmHandle): Promise<void> {
  const disk = vm.rootVdi?.ref;
  vm.setPowerState('Halted');
  await client.call('VM.destroy', vm.ref);
  await client.call('VDI.destroy', disk);
}

/** An upload that the coalescer works beside, tried again as the control plane does; each try's outcome. */
async function uploadAmidst(
  world: DirectWorld,
  sr: string,
  template: string,
  random: Random,
): Promise<Outcome[]> {
  const jobId = randomUUID();
  const tries: Outcome[] = [];
  for (const source of ['auto', 'auto', 'export'] as const) {
    let isOver = false;
    const upload = world.upload({ jobId, template, source }).finally(() => {
      isOver = true;
    });
    await coalesceSlowly(world, sr, random, () => isOver);
    tries.push(await upload);
    if (tries.at(-1)?.state === 'succeeded') break;
  }
  return tries;
}

it(`uploads the right disk, or tries again and then does, in ${RUNS} races with the coalescer`, {
  timeout: 60_000 + RUNS * 15_000,
}, async () => {
  await using world = await directWorld();
  const { pool, client } = world;
  const sr = pool.srs[0]?.uuid ?? '';
  const ended: Record<string, number> = {};
  for (let run = 0; run < RUNS; run += 1) {
    const random = randomOf(SEED * 10_000 + run);
    const vm = await pool.addVm({ name: `race-${run}`, diskMib: DISK_MIB, dataMib: 0, baseCopies: 1 });
    const kept = await makeWork(world, vm, random);
    // Without `force` a job waits until the chain holds still, and somebody else's snapshot sets it moving again.
    if (random() < 0.5) {
      await pool.coalesceNow(sr);
      const other = await snapshotOf(pool, client, vm);
      await destroySnapshot(client, other);
    }
    for (let steps = random() * 10; steps > 0; steps -= 1) await pool.stepCoalescer(sr);
    const isDeleted = random() < 0.4;
    const deletion = isDeleted ? delay(random() * 400).then(() => deleteVm(world, vm)) : undefined;
    const tries = await uploadAmidst(world, sr, kept.vm, random);
    await deletion;
    for (const { state, error, imageId } of tries) {
      const outcome = state === 'succeeded' ? state : `${error?.code}`;
      ended[outcome] = (ended[outcome] ?? 0) + 1;
      if (state === 'succeeded') expect(await world.differsFrom(kept.uuid, imageId), `run ${run}`).toBeNull();
      else expect(error, `run ${run} of seed ${SEED}`).toMatchObject({ retryable: true });
    }
    expect(tries.at(-1)?.state, `run ${run}`).toBe('succeeded');
    if (!isDeleted) await deleteVm(world, vm);
    await destroySnapshot(client, kept);
    await pool.coalesceNow(sr);
  }
  expect(ended.succeeded).toBe(RUNS);
  console.info('outcomes of all tries:', JSON.stringify(ended));
});
