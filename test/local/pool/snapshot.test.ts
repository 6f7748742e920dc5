import { expect, it } from 'vitest';
import { aPool, resultRef, until } from './a-pool.ts';

it('copies the VM into a template with new VBDs that own its disks', async () => {
  await using world = await aPool();
  const { pool, client } = world;
  const vm = pool.vm('web-1');
  await client.call('VM.add_to_other_config', vm.ref, 'xensnap:job', 'id');
  await client.call('VM.add_tags', vm.ref, 'gold');
  const source = vm.record();
  const snapshot = String(await client.call('VM.snapshot', vm.ref, 'one'));
  const record = pool.record('VM', snapshot);
  expect(record).toMatchObject({
    name_label: 'one',
    is_a_snapshot: true,
    is_a_template: true,
    is_default_template: false,
    snapshot_of: vm.ref,
    power_state: 'Halted',
    resident_on: 'OpaqueRef:NULL',
    domid: '-1',
    parent: 'OpaqueRef:NULL',
    children: [vm.ref],
    transportable_snapshot_id: '',
    snapshot_info: { 'power-state-at-snapshot': 'Running', 'disk-snapshot-type': 'crash_consistent' },
    other_config: source.other_config,
    tags: ['gold'],
    xenstore_data: { 'vm-data/allowvssprovider': 'false' },
    platform: source.platform,
  });
  expect(record.snapshot_metadata).toContain("('name_label' 'web-1')");
  expect(vm.record()).toMatchObject({ parent: snapshot, snapshots: [snapshot], current_operations: {} });
  const vbds = (record.VBDs as string[]).map((vbd) => pool.record('VBD', vbd));
  expect(vbds).toMatchObject([
    { type: 'Disk', userdevice: '0', other_config: { owner: '' }, currently_attached: false, empty: false },
    { type: 'CD', VDI: 'OpaqueRef:NULL', empty: true },
  ]);
  const vif = (each: string) => pool.record('VIF', each).MAC;
  expect((record.VIFs as string[]).map(vif)).toEqual((source.VIFs as string[]).map(vif));
  expect(Object.values(pool.records('message'))).toMatchObject([
    { name: 'VM_SNAPSHOTTED', obj_uuid: vm.uuid },
  ]);
});

it('turns the disk into a hidden base copy with two children', async () => {
  await using world = await aPool();
  const { pool, client } = world;
  const vm = pool.vm('web-1');
  const snapshot = String(await client.call('VM.snapshot', vm.ref, 'one'));
  const [vbd = ''] = pool.record('VM', snapshot).VBDs as string[];
  const taken = pool.record('VDI', String(pool.record('VBD', vbd).VDI));
  const base = Object.values(pool.records('VDI')).find(({ name_label }) => name_label === 'base copy');
  expect(base).toMatchObject({ managed: false, read_only: true, sm_config: {} });
  expect(taken).toMatchObject({
    managed: true,
    is_a_snapshot: true,
    snapshot_of: vm.rootVdi?.ref,
    name_label: 'web-1 0',
    location: taken.uuid,
    sm_config: { 'vhd-parent': base?.uuid },
  });
  expect(pool.record('VDI', vm.rootVdi?.ref ?? '').sm_config).toMatchObject({ 'vhd-parent': base?.uuid });
});

it('leaves the disks alone when the VM is destroyed, and gives its children its parent', async () => {
  await using world = await aPool();
  const { pool, client } = world;
  const vm = pool.vm('web-1');
  const before = await pool.inventory();
  const first = String(await client.call('VM.snapshot', vm.ref, 'one'));
  const second = String(await client.call('VM.snapshot', vm.ref, 'two'));
  expect(pool.record('VM', second).parent).toBe(first);
  const disks = [first, second].map((each) => {
    const [vbd = ''] = pool.record('VM', each).VBDs as string[];
    return String(pool.record('VBD', vbd).VDI);
  });
  await client.call('VM.destroy', second);
  expect(vm.record().parent).toBe(first);
  expect(await client.fails('VM.destroy', second)).toEqual(['HANDLE_INVALID', 'VM', second]);
  await client.call('VM.destroy', first);
  for (const disk of disks) await client.call('VDI.destroy', disk);
  expect(await client.fails('VDI.destroy', disks[0])).toEqual(['HANDLE_INVALID', 'VDI', disks[0]]);
  expect(await pool.inventory()).toEqual(before);
});

it('refuses what has no business being snapshotted or destroyed', async () => {
  await using world = await aPool();
  const { pool, client } = world;
  const vm = pool.vm('web-1');
  const template = await pool.addVm({ name: 'golden', kind: 'template' });
  const [dom0 = ''] = Object.entries(pool.records('VM')).find(([, record]) => record.is_control_domain) ?? [];
  const snapshot = String(await client.call('VM.snapshot', vm.ref, 'one'));
  const base = Object.entries(pool.records('VDI')).find(([, { managed }]) => !managed)?.[0] ?? '';
  expect(await client.fails('VM.snapshot', template.ref, 'x')).toEqual([
    'VM_IS_TEMPLATE',
    template.ref,
    'snapshot',
  ]);
  expect(await client.fails('VM.snapshot', snapshot, 'x')).toEqual(['VM_IS_SNAPSHOT', snapshot, 'snapshot']);
  expect((await client.fails('VM.snapshot', dom0, 'x'))[0]).toBe('OPERATION_NOT_ALLOWED');
  expect(await client.fails('VM.destroy', vm.ref)).toEqual([
    'VM_BAD_POWER_STATE',
    vm.ref,
    'halted, suspended',
    'running',
  ]);
  expect(await client.fails('VDI.destroy', vm.rootVdi?.ref)).toEqual([
    'VDI_IN_USE',
    vm.rootVdi?.ref,
    'destroy',
  ]);
  expect(await client.fails('VDI.destroy', base)).toEqual(['VDI_NOT_MANAGED', base]);
});

it('leaves out the disks it is told to ignore, where the release knows how', async () => {
  await using world = await aPool({ vms: 0 });
  const vm = await world.pool.addVm({ name: 'two', diskMib: 4, extraDisks: [4] });
  const second = Object.values(world.pool.records('VBD')).find(
    ({ userdevice, VM }) => userdevice === '1' && VM === vm.ref,
  );
  const snapshot = String(await world.client.call('VM.snapshot', vm.ref, 'x', [second?.VDI]));
  expect(world.pool.record('VM', snapshot).VBDs).toHaveLength(2);
});

it('destroys the disks it has taken when the next one fails', async () => {
  await using world = await aPool({ vms: 0 });
  const { pool, client } = world;
  const vm = await pool.addVm({ name: 'two', diskMib: 4, extraDisks: [4] });
  const before = await pool.inventory();
  pool.faults.add({
    method: 'VDI.snapshot',
    skip: 1,
    code: 'SR_BACKEND_FAILURE_46',
    params: ['', 'unavailable', ''],
  });
  expect(await client.fails('VM.snapshot', vm.ref, 'x')).toEqual([
    'SR_BACKEND_FAILURE_46',
    '',
    'unavailable',
    '',
  ]);
  expect(await pool.inventory()).toEqual(before);
});

it('says that the SR is full, or that no host has it', async () => {
  await using world = await aPool();
  const { pool, client } = world;
  const vm = pool.vm('web-1').ref;
  const [host] = pool.hosts;
  const [sr] = pool.srs;
  await pool.fillSr(sr?.uuid ?? '', true);
  expect(await client.fails('VM.snapshot', vm, 'x')).toEqual([
    'SR_BACKEND_FAILURE_81',
    '',
    'Failed to clone VDI [opterr=VDI clone failed error 28]',
    '',
  ]);
  await pool.fillSr(sr?.uuid ?? '', false);
  await pool.setPbdPlugged(host?.uuid ?? '', sr?.uuid ?? '', false);
  expect(await client.fails('VM.snapshot', vm, 'x')).toEqual(['NO_HOSTS_AVAILABLE']);
  const disk = pool.vm('web-1').rootVdi;
  expect(await client.fails('VDI.snapshot', disk?.ref, {})).toEqual(['SR_HAS_NO_PBDS', sr?.ref]);
});

it('gives up on a chain of 30', async () => {
  await using world = await aPool({ vms: 0 });
  const vm = await world.pool.addVm({ name: 'deep', diskMib: 2, dataMib: 0, baseCopies: 29 });
  expect((await world.client.fails('VM.snapshot', vm.ref, 'x'))[0]).toBe('SR_BACKEND_FAILURE_109');
});

it('lets two snapshots of a VM run at once, and has a destruction wait for its turn', async () => {
  await using world = await aPool();
  const { pool, client } = world;
  const vm = pool.vm('web-1');
  const tasks = await Promise.all(['a', 'b', 'c'].map((name) => client.task('VM.snapshot', vm.ref, name)));
  expect(tasks.map(({ status }) => status)).toEqual(['success', 'success', 'success']);
  vm.setPowerState('Halted');
  let release = (): void => undefined;
  pool.faults.add({
    method: 'VDI.snapshot',
    hold: new Promise<void>((resolve) => {
      release = resolve;
    }),
  });
  const snapshot = client.task('VM.snapshot', vm.ref, 'd');
  await until(() => Object.values(vm.record().current_operations ?? {}).includes('snapshot'));
  const destruction = client.task('VM.destroy', vm.ref);
  release();
  expect((await snapshot).status).toBe('success');
  expect((await destruction).status).toBe('success');
  expect(resultRef(await snapshot)).toMatch(/^OpaqueRef:/);
});
