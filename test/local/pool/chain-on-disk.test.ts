import { join } from 'node:path';
import { expect, it } from 'vitest';
import { localClock } from '../../../local/clock.ts';
import type { SimulatedPool } from '../../../local/pool/pool.ts';
import { readChain } from '../../support/vhd-reader.ts';
import { aPool, until } from './a-pool.ts';

/** The files of a disk by the database, leaf first. */
function chainOf(pool: SimulatedPool, vdiUuid: string): string[] {
  const vdi = Object.values(pool.records('VDI')).find(({ uuid }) => uuid === vdiUuid);
  const sr = pool.srs.find(({ ref }) => ref === vdi?.SR);
  const { 'vhd-parent': parent } = (vdi?.sm_config ?? {}) as Record<string, string>;
  const file = join(sr?.folder ?? '', `${vdiUuid}.vhd`);
  return parent === undefined ? [file] : [file, ...chainOf(pool, parent)];
}

/** Whether a disk, put together by a reader of the tests' own, is what its model says. */
async function isExact(pool: SimulatedPool, vdiUuid = ''): Promise<boolean> {
  const chain = await readChain(chainOf(pool, vdiUuid));
  return (await chain.compareWith(pool.modelPath(vdiUuid))) === null;
}

it('holds the disk of the snapshot’s moment while the guest writes on and the coalescer merges', async () => {
  await using world = await aPool({
    keepModels: true,
    guestWrites: true,
    gcPairSeconds: 1,
    clock: localClock(2000),
  });
  const { pool, client } = world;
  const vm = pool.vm('web-1');
  const [sr] = pool.srs;
  const taken: { vm: string; vdi: string; uuid: string }[] = [];
  for (const name of ['a', 'b', 'c', 'd']) {
    await vm.writeSome();
    const snapshot = String(await client.call('VM.snapshot', vm.ref, name));
    const [vbd = ''] = pool.record('VM', snapshot).VBDs as string[];
    const vdi = String(pool.record('VBD', vbd).VDI);
    const uuid = String(pool.record('VDI', vdi).uuid);
    taken.push({ vm: snapshot, vdi, uuid });
  }
  await vm.writeSome();
  for (const { uuid } of taken) expect(await isExact(pool, uuid)).toBe(true);
  const [first, second, third, last] = taken;
  for (const each of [first, second, third]) {
    await client.call('VDI.destroy', each?.vdi);
    await client.call('VM.destroy', each?.vm);
  }
  await client.call('SR.scan', sr?.ref);
  await until(() => pool.baseCopies()[sr?.uuid ?? '']?.length === 1);
  expect(await isExact(pool, last?.uuid)).toBe(true);
  const [base] = pool.baseCopies()[sr?.uuid ?? ''] ?? [];
  expect(pool.record('VDI', last?.vdi ?? '').sm_config).toEqual({ 'vhd-parent': base });
  await client.call('VDI.destroy', last?.vdi);
  await client.call('VM.destroy', last?.vm);
  await until(() => pool.baseCopies()[sr?.uuid ?? '']?.length === 0);
  await vm.stopWriting();
  await vm.writeSome();
  // While a disk is open its file has no footer, and the tests' reader wants one.
  vm.setPowerState('Halted');
  expect(await isExact(pool, vm.rootVdi?.uuid)).toBe(true);
  expect(Object.values(pool.records('task')).map(({ name_label }) => name_label)).toContain(
    'Garbage Collection',
  );
});

it('keeps the coalescer from a base copy that two disks share', async () => {
  await using world = await aPool({ keepModels: true, gcQuietSeconds: 1e6 });
  const { pool, client } = world;
  const other = await pool.addVm({ name: 'clone', diskMib: 8, sharedParentOf: 'web-1' });
  await other.writeSome();
  const [sr] = pool.srs;
  await client.call('SR.scan', sr?.ref);
  await pool.coalesceNow(sr?.uuid ?? '');
  expect(pool.baseCopies()[sr?.uuid ?? '']).toHaveLength(1);
  other.setPowerState('Halted');
  expect(await isExact(pool, other.rootVdi?.uuid)).toBe(true);
});

it('waits its quiet time before it coalesces', async () => {
  await using world = await aPool({ vms: 0, clock: localClock(1) });
  const vm = await world.pool.addVm({ name: 'deep', diskMib: 4, baseCopies: 3 });
  const [sr] = world.pool.srs;
  await world.client.call('SR.scan', sr?.ref);
  await until(() => Object.values(world.pool.records('task')).length === 1);
  expect(world.pool.baseCopies()[sr?.uuid ?? '']).toHaveLength(3);
  expect(vm.rootVdi).toBeDefined();
});

it('keeps the other disk’s model when one of two that share a base copy is written to', async () => {
  await using world = await aPool({ keepModels: true });
  const other = await world.pool.addVm({ name: 'clone', diskMib: 8, sharedParentOf: 'web-1' });
  await other.writeSome();
  await world.pool.vm('web-1').writeSome();
  for (const vm of world.pool.vms()) vm.setPowerState('Halted');
  const [base] = Object.values(world.pool.baseCopies()).flat();
  for (const uuid of [base, other.rootVdi?.uuid, world.pool.vm('web-1').rootVdi?.uuid]) {
    expect(await isExact(world.pool, uuid)).toBe(true);
  }
});
