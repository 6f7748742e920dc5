import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { link, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { destroySnapshot, isWhole, namesIn, snapshotOf } from './a-disk.ts';
import { aPool, until } from './a-pool.ts';

it('makes no new base copy of a disk that nothing was written to since the last one', async () => {
  await using world = await aPool({ keepModels: true, gcQuietSeconds: 1e6 });
  const { pool, client } = world;
  const vm = pool.vm('web-1');
  const [sr] = pool.srs;
  const first = await snapshotOf(pool, client, vm);
  const second = await snapshotOf(pool, client, vm);
  const [base, ...others] = pool.baseCopies()[sr?.uuid ?? ''] ?? [];
  expect(others).toEqual([]);
  for (const vdi of [first.vdi, second.vdi, vm.rootVdi?.ref ?? ''])
    expect(pool.record('VDI', vdi).sm_config).toMatchObject({ 'vhd-parent': base });
  await vm.writeSome();
  const third = await snapshotOf(pool, client, vm);
  expect(pool.baseCopies()[sr?.uuid ?? '']).toHaveLength(2);
  vm.setPowerState('Halted');
  for (const uuid of [first.uuid, second.uuid, third.uuid, vm.rootVdi?.uuid ?? ''])
    expect(await isWhole(pool, sr?.folder ?? '', uuid)).toBe(true);
});

it('gives the disk its file back when a snapshot fails half way', async () => {
  await using world = await aPool({ keepModels: true });
  const { pool, client } = world;
  const vm = pool.vm('web-1');
  const [sr] = pool.srs;
  const { ino } = await stat(vm.rootVdi?.path ?? '');
  for (const fail of [
    () => pool.failSnapshotHalfWay(sr?.uuid ?? ''),
    () => pool.fillSr(sr?.uuid ?? '', true),
    () => pool.fillSr(sr?.uuid ?? '', 4000),
  ]) {
    fail();
    expect((await client.fails('VM.snapshot', vm.ref, 'x'))[2]).toMatch(/VDI clone failed error 28/);
    expect(await readdir(sr?.folder ?? '')).toEqual([`${vm.rootVdi?.uuid}.vhd`]);
    expect((await stat(vm.rootVdi?.path ?? '')).ino).toBe(ino);
  }
  await pool.fillSr(sr?.uuid ?? '', false);
  await snapshotOf(pool, client, vm);
  vm.setPowerState('Halted');
  expect(await isWhole(pool, sr?.folder ?? '', vm.rootVdi?.uuid ?? '')).toBe(true);
});

it('loses the live disk when a snapshot fails half way and somebody else has a link to its file', async () => {
  await using world = await aPool({ keepModels: true });
  const { pool, client } = world;
  const vm = pool.vm('web-1');
  const [sr] = pool.srs;
  const kept = await stat(vm.rootVdi?.path ?? '');
  await link(vm.rootVdi?.path ?? '', join(world.dataDir, 'foreign'));
  pool.failSnapshotHalfWay(sr?.uuid ?? '');
  await client.fails('VM.snapshot', vm.ref, 'x');
  vm.setPowerState('Halted');
  expect(await namesIn(sr?.folder ?? '', { [vm.rootVdi?.uuid ?? '']: 'live' })).toEqual(['live.vhd']);
  expect((await stat(vm.rootVdi?.path ?? '')).size).toBeLessThan(kept.size);
  await expect(isWhole(pool, sr?.folder ?? '', vm.rootVdi?.uuid ?? '')).rejects.toThrow('ENOENT');
});

it('destroys what it has taken when the SR has no space for the second disk', async () => {
  await using world = await aPool({ vms: 0, quiesce: true });
  const { pool, client } = world;
  const vm = await pool.addVm({ name: 'two', diskMib: 4, extraDisks: [4] });
  const before = await pool.inventory();
  const [sr] = pool.srs;
  // Two children of one disk need some 5 KiB.
  await pool.fillSr(sr?.uuid ?? '', 9000);
  expect(await client.fails('VM.snapshot', vm.ref, 'x')).toEqual([
    'SR_BACKEND_FAILURE_81',
    '',
    'Failed to clone VDI [opterr=VDI clone failed error 28]',
    '',
  ]);
  expect(pool.baseCopies()[sr?.uuid ?? '']).toHaveLength(1);
  expect(await pool.inventory()).toEqual(before);
});

it('names the SR, by its reference, when the second disk is one that sm cannot snapshot', async () => {
  await using world = await aPool({ vms: 0, quiesce: true });
  const { pool, client } = world;
  const vm = await pool.addVm({ name: 'raw', diskMib: 4, rootFormat: 'raw', extraDisks: [4] });
  const [sr] = pool.srs;
  expect(await client.fails('VM.snapshot', vm.ref, 'x')).toEqual(['UNIMPLEMENTED_IN_SM_BACKEND', sr?.ref]);
});

it('grows a disk that nobody has attached, in whole blocks, over base copies that stay small', async () => {
  await using world = await aPool({ keepModels: true, gcQuietSeconds: 1e6 });
  const { pool, client } = world;
  const vm = pool.vm('web-1');
  const [sr] = pool.srs;
  const { ref = '', uuid = '' } = vm.rootVdi ?? {};
  const mib = (count: number): string => String(count * 2 ** 20);
  expect(await client.fails('VDI.resize', ref, mib(12))).toEqual(['VDI_IN_USE', ref, 'resize']);
  const taken = await snapshotOf(pool, client, vm);
  await vm.writeSome();
  vm.setPowerState('Halted');
  expect((await client.fails('VDI.resize', ref, mib(4)))[2]).toBe(
    'VDI Invalid size [opterr=shrinking not allowed]',
  );
  // More blocks than the BAT has room for, so that what lies behind it has to move.
  await client.call('VDI.resize', ref, String(264 * 2 ** 20 - 512));
  expect(pool.record('VDI', ref).virtual_size).toBe(mib(264));
  await vm.writeSome();
  await client.call('SR.scan', sr?.ref);
  const sizes = Object.values(pool.records('VDI')).map(({ virtual_size }) => virtual_size);
  expect(sizes.sort()).toEqual([mib(264), mib(8), mib(8)]);
  // A base copy as large as the disk is now, above one that is not.
  const later = await snapshotOf(pool, client, vm);
  await vm.writeSome();
  for (const each of [taken, later]) await destroySnapshot(client, each);
  await pool.coalesceNow(sr?.uuid ?? '');
  expect(await readdir(sr?.folder ?? '')).toEqual([`${uuid}.vhd`]);
  expect(await isWhole(pool, sr?.folder ?? '', uuid)).toBe(true);
});

it('keeps a deleted file as .nfs… while a process of the master has it open, and no longer', async () => {
  await using world = await aPool({ vms: 0, gcQuietSeconds: 1e6 });
  const { pool, client } = world;
  const vm = await pool.addVm({ name: 'shared', diskMib: 4, sr: 'nfs' });
  const sr = pool.srs.find(({ name }) => name === 'NFS shared storage');
  const taken = await snapshotOf(pool, client, vm);
  const reader = spawn('sleep', ['60'], {
    env: { PATH: process.env.PATH, XENSNAP_DOM0_ROOT: pool.hosts[0]?.dom0Root },
    stdio: [openSync(join(sr?.folder ?? '', `${taken.uuid}.vhd`), 'r'), 'ignore', 'ignore'],
  });
  await once(reader, 'spawn');
  await destroySnapshot(client, taken);
  const silly = async () => (await readdir(sr?.folder ?? '')).filter((name) => name.startsWith('.nfs'));
  expect(await silly()).toHaveLength(1);
  reader.kill();
  await until(async () => (await silly()).length === 0);
});
