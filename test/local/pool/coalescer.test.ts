import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { SimulatedPool, VmHandle } from '../../../local/pool/pool.ts';
import { destroySnapshot, isWhole, namesIn, snapshotOf } from './a-disk.ts';
import { aPool } from './a-pool.ts';

/** A disk on base copies that hold something, whose coalescer waits for the test's hand. */
async function deepDisk(baseCopies: number) {
  const world = await aPool({ vms: 0, keepModels: true, gcQuietSeconds: 1e6 });
  const vm = await world.pool.addVm({ name: 'deep', diskMib: 16, dataMib: 0, baseCopies });
  const [sr] = world.pool.srs;
  return { ...world, vm, sr: { uuid: sr?.uuid ?? '', ref: sr?.ref ?? '', folder: sr?.folder ?? '' } };
}

/** Steps until one of the name; all that were on the way. */
async function stepTo(pool: SimulatedPool, sr: string, wanted: string): Promise<string[]> {
  const steps: string[] = [];
  while (steps.at(-1) !== wanted) {
    const step = await pool.stepCoalescer(sr);
    if (step === undefined) throw new Error(`no ${wanted} after ${steps.join(', ')}`);
    steps.push(step);
  }
  return steps;
}

const hasNoSpace = (smConfig: unknown) => Object.hasOwn(Object(smConfig), 'gc_no_space');

const notes = (pool: SimulatedPool, vm: VmHandle) => pool.record('VDI', vm.rootVdi?.ref ?? '').sm_config;

it('merges a leaf by un-hiding, data, journal and two renames, with the disk paused', async () => {
  await using world = await deepDisk(1);
  const { pool, vm, sr } = world;
  const [base = ''] = pool.baseCopies()[sr.uuid] ?? [];
  const called = { [vm.rootVdi?.uuid ?? '']: 'live', [base]: 'base' };
  const seen: [string, string[]][] = [];
  await stepTo(pool, sr.uuid, 'begun');
  for (let step = await pool.stepCoalescer(sr.uuid); step; step = await pool.stepCoalescer(sr.uuid)) {
    if (step.startsWith('block')) continue;
    seen.push([step, await namesIn(sr.folder, called)]);
    if (step === 'base copy renamed') expect(notes(pool, vm)).toMatchObject({ paused: 'true' });
  }
  expect(seen).toEqual([
    ['leaf paused', ['base.vhd', 'live.vhd']],
    ['leaf journal written', ['base.vhd', 'leaf_live', 'live.vhd']],
    ['base copy unhidden', ['base.vhd', 'leaf_live', 'live.vhd']],
    ['leaf renamed', ['OLD_live.vhd', 'base.vhd', 'leaf_live']],
    ['base copy renamed', ['OLD_live.vhd', 'leaf_live', 'live.vhd']],
    ['leaf journal removed', ['OLD_live.vhd', 'live.vhd']],
    ['leaf unpaused', ['OLD_live.vhd', 'live.vhd']],
    ['old leaf deleted', ['live.vhd']],
    ['round over', ['live.vhd']],
  ]);
  expect(Object.keys(notes(pool, vm) ?? {})).toEqual([expect.stringMatching(/^host_/)]);
  vm.setPowerState('Halted');
  expect(await isWhole(pool, sr.folder, vm.rootVdi?.uuid ?? '')).toBe(true);
});

it('merges a base copy into its parent, tags the leaves for it, and notes the blocks of both', async () => {
  await using world = await deepDisk(2);
  const { pool, client, vm, sr } = world;
  const parent = () => (notes(pool, vm) as Record<string, string>)['vhd-parent'];
  const before = parent();
  await stepTo(pool, sr.uuid, 'coalesce journal written');
  expect((await readdir(sr.folder)).filter((name) => name.startsWith('coalesce_'))).toHaveLength(1);
  const base = Object.values(pool.records('VDI')).find(({ uuid }) => uuid === before);
  expect(base?.sm_config).toHaveProperty('vhd-blocks');
  await stepTo(pool, sr.uuid, 'relink journal written');
  expect((await readdir(sr.folder)).filter((name) => /^[a-z]+_/.test(name))).toEqual([`relink_${before}`]);
  // The SR is free meanwhile.
  await client.call('SR.scan', sr.ref);
  await stepTo(pool, sr.uuid, 'leaves tagged');
  expect(notes(pool, vm)).toMatchObject({ relinking: 'True', 'vhd-parent': before });
  await stepTo(pool, sr.uuid, 'leaves reloaded');
  expect(notes(pool, vm)).not.toHaveProperty('relinking');
  expect(parent()).not.toBe(before);
  expect(await readdir(sr.folder)).toContain(`${before}.vhd`);
  await stepTo(pool, sr.uuid, 'base copy deleted');
  expect(await readdir(sr.folder)).not.toContain(`${before}.vhd`);
  vm.setPowerState('Halted');
  expect(await isWhole(pool, sr.folder, vm.rootVdi?.uuid ?? '')).toBe(true);
});

it('deletes no file of a shared SR that a process on another host has open, and ends its run', async () => {
  await using world = await aPool({ vms: 0, hosts: 2, keepModels: true, gcQuietSeconds: 1e6 });
  const { pool } = world;
  const vm = await pool.addVm({ name: 'shared', sr: 'nfs', diskMib: 16, dataMib: 0, baseCopies: 2 });
  const sr = pool.srs.find(({ name }) => name === 'NFS shared storage');
  const before = (notes(pool, vm) as Record<string, string>)['vhd-parent'];
  await stepTo(pool, sr?.uuid ?? '', 'leaves reloaded');
  const path = join(sr?.folder ?? '', `${before}.vhd`);
  const reader = spawn('sleep', ['60'], {
    env: { PATH: process.env.PATH, XENSNAP_DOM0_ROOT: pool.hosts[1]?.dom0Root },
    stdio: [openSync(path, 'r'), 'ignore', 'ignore'],
  });
  await once(reader, 'spawn');
  await expect(pool.stepCoalescer(sr?.uuid ?? '')).rejects.toThrow(/in use on xen2/);
  expect(existsSync(path)).toBe(true);
  // Nor does the next run, which finds that nobody needs the file.
  await expect(pool.coalesceNow(sr?.uuid ?? '')).rejects.toThrow(/in use on xen2/);
  reader.kill();
  await once(reader, 'exit');
  await pool.coalesceNow(sr?.uuid ?? '');
  expect(existsSync(path)).toBe(false);
  vm.setPowerState('Halted');
  expect(await isWhole(pool, sr?.folder ?? '', vm.rootVdi?.uuid ?? '')).toBe(true);
});

it('takes snapshots, destroys them and scans while it merges', async () => {
  await using world = await deepDisk(4);
  const { pool, client, vm, sr } = world;
  const taken = [];
  for (const step of ['block allocated', 'block merged', 'relink journal written']) {
    await stepTo(pool, sr.uuid, step);
    await vm.writeSome();
    taken.push(await snapshotOf(pool, client, vm));
    await client.call('SR.scan', sr.ref);
  }
  for (const each of taken.splice(0, 1)) await destroySnapshot(client, each);
  await pool.coalesceNow(sr.uuid);
  vm.setPowerState('Halted');
  for (const uuid of [vm.rootVdi?.uuid ?? '', ...taken.map((each) => each.uuid)])
    expect(await isWhole(pool, sr.folder, uuid)).toBe(true);
});

it('puts a live disk of 20 MiB and more on base copies of its own first', async () => {
  await using world = await aPool({ vms: 0, keepModels: true, gcQuietSeconds: 1e6 });
  const { pool, client } = world;
  const vm = await pool.addVm({ name: 'big', diskMib: 128, dataMib: 0 });
  const [sr] = pool.srs;
  const taken = await snapshotOf(pool, client, vm);
  for (let mib = 0; mib < 120; mib += 4) await vm.writeAt(mib * 2 ** 20, Buffer.alloc(512, 7));
  await destroySnapshot(client, taken);
  const steps = [];
  for (
    let step = await pool.stepCoalescer(sr?.uuid ?? '');
    step;
    step = await pool.stepCoalescer(sr?.uuid ?? '')
  ) {
    if (!step.startsWith('block')) steps.push(step);
    if (step !== 'internal snapshot taken') continue;
    const internal = Object.values(pool.records('VDI')).find(({ is_a_snapshot }) => is_a_snapshot);
    expect(internal).toMatchObject({ managed: false, snapshot_of: vm.rootVdi?.ref, name_label: 'big 0' });
  }
  expect(steps.indexOf('internal snapshot taken')).toBeLessThan(steps.indexOf('base copy deleted'));
  expect(steps.indexOf('base copy deleted')).toBeLessThan(steps.indexOf('leaf paused'));
  expect(await readdir(sr?.folder ?? '')).toEqual([`${vm.rootVdi?.uuid}.vhd`]);
  vm.setPowerState('Halted');
  expect(await isWhole(pool, sr?.folder ?? '', vm.rootVdi?.uuid ?? '')).toBe(true);
});

it.each([
  'block allocated',
  'relink journal written',
  'leaves tagged',
  'child relinked',
  'leaf journal written',
  'base copy unhidden',
  'leaf renamed',
  'base copy renamed',
  'leaf unpaused',
])('finishes or undoes what a crash after "%s" left, and no disk is the worse for it', async (crash) => {
  await using world = await deepDisk(2);
  const { pool, vm, sr } = world;
  await stepTo(pool, sr.uuid, crash);
  await pool.interruptCoalescer(sr.uuid);
  await pool.coalesceNow(sr.uuid);
  expect(await readdir(sr.folder)).toEqual([`${vm.rootVdi?.uuid}.vhd`]);
  await vm.writeSome();
  vm.setPowerState('Halted');
  expect(await isWhole(pool, sr.folder, vm.rootVdi?.uuid ?? '')).toBe(true);
});

it('leaves the name of a parent that is gone in the database until the next scan', async () => {
  await using world = await deepDisk(2);
  const { pool, client, vm, sr } = world;
  const other = await pool.addVm({ name: 'clone', diskMib: 16, sharedParentOf: 'deep' });
  // The clone stands on the newest base copy; the disk gets one more of its own, and that is merged into the leaf.
  await other.writeSome();
  await vm.writeSome();
  const taken = await snapshotOf(pool, client, vm);
  await vm.writeSome();
  await destroySnapshot(client, taken);
  await pool.coalesceNow(sr.uuid);
  const parent = () => (notes(pool, vm) as Record<string, string>)['vhd-parent'] ?? '';
  const known = () => Object.values(pool.records('VDI')).some(({ uuid }) => uuid === parent());
  expect(known()).toBe(false);
  await client.call('SR.scan', sr.ref);
  expect(known()).toBe(true);
});

it('merges nothing where there is no space for it', async () => {
  await using world = await deepDisk(3);
  const { pool, sr } = world;
  await pool.fillSr(sr.uuid, true);
  await pool.coalesceNow(sr.uuid);
  expect(pool.baseCopies()[sr.uuid]?.length).toBeGreaterThan(1);
  const [[message]] = Object.entries(pool.records('message')) as [[string, unknown]];
  expect(pool.records('message')).toMatchObject({ [message]: { name: 'SM_GC_NO_SPACE' } });
  const noted = () => Object.values(pool.records('VDI')).filter((vdi) => hasNoSpace(vdi.sm_config)).length;
  expect(noted()).toBeGreaterThan(0);
  await pool.fillSr(sr.uuid, false);
  await pool.coalesceNow(sr.uuid);
  expect(pool.baseCopies()[sr.uuid]).toEqual([]);
  expect([noted(), pool.records('message')]).toEqual([0, {}]);
});

it('fails every scan, and merges nothing, while one damaged file with a disk’s name is in the SR', async () => {
  await using world = await deepDisk(3);
  const { pool, client, sr } = world;
  await pool.plantFile(sr.uuid, 'notes.txt', Buffer.from('mine'));
  await client.call('SR.scan', sr.ref);
  await pool.plantFile(sr.uuid, 'foreign.vhd', Buffer.from('not a disk'));
  expect(await client.fails('SR.scan', sr.ref)).toEqual([
    'SR_BACKEND_FAILURE_40',
    '',
    'The SR scan failed  [opterr=uuid=foreign]',
    '',
  ]);
  await expect(pool.coalesceNow(sr.uuid)).rejects.toThrow('The SR scan failed');
  expect(pool.baseCopies()[sr.uuid]).toHaveLength(3);
});

it.each(['file', 'largeblock', 'xfs', 'zfs', 'cephfs', 'glusterfs', 'moosefs'] as const)(
  'keeps chains of VHDs on an SR of type %s',
  async (type) => {
    await using world = await aPool({ vms: 0, keepModels: true, gcQuietSeconds: 1e6 });
    const vm = await world.pool.addVm({ name: 'vm', diskMib: 4, sr: type, baseCopies: 1 });
    const sr = world.pool.srs.find(({ name }) => name === `${type} storage`);
    expect(await readdir(`${world.pool.hosts[0]?.dom0Root}/var/run/sr-mount/${sr?.uuid}`)).toHaveLength(2);
    vm.setPowerState('Halted');
    expect(await isWhole(world.pool, sr?.folder ?? '', vm.rootVdi?.uuid ?? '')).toBe(true);
  },
);

it.each([
  ['nfs', 'SR_BACKEND_FAILURE_76'],
  ['smb', 'SR_BACKEND_FAILURE_114'],
] as const)('cannot destroy an SR of type %s while a folder is left in it', async (type, code) => {
  await using world = await aPool({ vms: 0, gcQuietSeconds: 1e6 });
  const { pool, client } = world;
  const vm = await pool.addVm({ name: 'vm', diskMib: 4, sr: type, powerState: 'Halted' });
  const {
    ref = '',
    uuid = '',
    folder = '',
  } = pool.srs.find(({ ref }) => pool.record('SR', ref).type === type) ?? {};
  expect(await client.fails('SR.destroy', ref)).toEqual(['SR_HAS_PBD', ref]);
  await pool.setPbdPlugged(pool.hosts[0]?.uuid ?? '', uuid, false);
  expect(await client.fails('SR.destroy', ref)).toEqual(['SR_NOT_EMPTY']);
  await pool.setPbdPlugged(pool.hosts[0]?.uuid ?? '', uuid, true);
  await client.call('VDI.destroy', vm.rootVdi?.ref);
  await pool.setPbdPlugged(pool.hosts[0]?.uuid ?? '', uuid, false);
  await mkdir(`${folder}/left`);
  expect((await client.fails('SR.destroy', ref))[0]).toBe(code);
  await rm(`${folder}/left`, { recursive: true });
  await client.call('SR.destroy', ref);
  expect(pool.srs.map((each) => each.ref)).not.toContain(ref);
});
