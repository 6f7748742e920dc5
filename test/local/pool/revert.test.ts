import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { aPool } from './a-pool.ts';

it('clones a VM: disks, addresses and identity of its own', async () => {
  await using world = await aPool({ vms: 0 });
  const { pool, client } = world;
  const vm = await pool.addVm({ name: 'vm', diskMib: 2, powerState: 'Halted', tags: ['gold'] });
  const clone = (await client.call('VM.clone', vm.ref, 'copy')) as string;
  expect(pool.record('VM', clone)).toMatchObject({
    ...{ name_label: 'copy', is_a_snapshot: false, is_a_template: false, power_state: 'Halted' },
    ...{ snapshot_of: 'OpaqueRef:NULL', parent: 'OpaqueRef:NULL', snapshot_metadata: '', tags: ['gold'] },
  });
  expect(pool.record('VM', vm.ref).parent).toBe('OpaqueRef:NULL');
  const seed = (ref: string) => (pool.record('VM', ref).other_config as Record<string, string>).mac_seed;
  expect(seed(clone)).not.toBe(seed(vm.ref));
  const mac = (ref: string) => pool.record('VIF', (pool.record('VM', ref).VIFs as string[])[0] ?? '').MAC;
  expect(mac(clone)).not.toBe(mac(vm.ref));
  const [disk] = pool.vm('copy').disks;
  expect(pool.record('VDI', disk?.ref ?? '')).toMatchObject({
    ...{ is_a_snapshot: false, snapshot_of: 'OpaqueRef:NULL', name_label: 'vm 0' },
  });
  expect(disk?.uuid).not.toBe(vm.rootVdi?.uuid);
  pool.vm('vm').setPowerState('Running');
  expect(await client.fails('VM.clone', vm.ref, 'x')).toEqual([
    'VM_BAD_POWER_STATE',
    vm.ref,
    'halted',
    'running',
  ]);
});

it('makes a template of a snapshot’s clone, as snapshots are', async () => {
  await using world = await aPool();
  const { pool, client } = world;
  const snapshot = await client.call('VM.snapshot', pool.vm('web-1').ref, 'taken');
  const clone = (await client.call('VM.clone', snapshot, 'from it')) as string;
  expect(pool.record('VM', clone)).toMatchObject({
    ...{ is_a_snapshot: false, is_a_template: true },
    other_config: expect.objectContaining({ base_template_name: 'taken' }),
  });
});

it('reverts a running VM: halted, with clones of the snapshot’s disks and its fields of then', async () => {
  await using world = await aPool({ vms: 0, keepModels: true });
  const { pool, client } = world;
  const vm = await pool.addVm({
    name: 'before',
    diskMib: 2,
    tags: ['then'],
    otherConfig: { tag: 'of then' },
  });
  const { ref } = vm;
  const disk = vm.rootVdi;
  const snapshot = await client.call('VM.snapshot', ref, 'taken');
  const [vbd = ''] = (await client.call('VM.get_VBDs', snapshot)) as string[];
  const taken = String(pool.record('VBD', vbd).VDI);
  await vm.writeSome();
  await client.call('VM.set_name_label', ref, 'after');
  await client.call('VM.set_other_config', ref, { tag: 'of now', more: 'x' });
  await client.call('VM.set_xenstore_data', ref, {});
  await client.call('VM.set_tags', ref, ['now']);
  await client.call('VM.revert', snapshot);
  expect(pool.record('VM', ref)).toMatchObject({
    ...{ name_label: 'before', power_state: 'Halted', parent: snapshot, tags: ['now'] },
    xenstore_data: { 'vm-data/allowvssprovider': 'false' },
    other_config: { tag: 'of then' },
  });
  expect(pool.record('VM', ref).other_config).not.toHaveProperty('more');
  expect(await client.fails('VDI.get_record', disk?.ref)).toEqual(['HANDLE_INVALID', 'VDI', disk?.ref]);
  const [reverted] = pool.vm('before').disks;
  const query = `session_id=${client.session}&vdi=${reverted?.uuid}&format=raw`;
  const exported = await (await fetch(`${pool.url}/export_raw_vdi?${query}`)).bytes();
  const asTaken = await readFile(pool.modelPath(String(pool.record('VDI', taken).uuid)));
  expect(asTaken.equals(exported)).toBe(true);
  expect(pool.record('VDI', taken).snapshot_of).toBe(reverted?.ref);
  expect(pool.record('VDI', reverted?.ref ?? '').is_a_snapshot).toBe(false);
  const messages = Object.values(pool.records('message')).map(({ name }) => name);
  expect(messages).toContain('VM_SNAPSHOT_REVERTED');
  expect(await client.fails('VM.revert', ref)).toEqual(['REVERT_ONLY_ALLOWED_ON_SNAPSHOT']);
  await client.call('VM.start', ref, false, false);
  expect(pool.vm('before').liveXenstore()).toMatchObject({ 'vm-data/allowvssprovider': 'false' });
});

it('leaves a disk that the snapshot does not have in its SR, attached to nothing', async () => {
  await using world = await aPool({ vms: 0 });
  const { pool, client } = world;
  const vm = await pool.addVm({ name: 'vm', disks: [{ mib: 2 }, { mib: 2, name: 'later' }] });
  const [, later] = vm.disks;
  const snapshot = await client.call('VM.snapshot', vm.ref, 'taken', [later?.ref]);
  await client.call('VM.revert', snapshot);
  expect(pool.vm('vm').disks).toHaveLength(1);
  expect(pool.record('VDI', later?.ref ?? '').VBDs).toEqual([]);
});

it('brings a VM back that is no more, under its UUID, when one of its snapshots is reverted', async () => {
  await using world = await aPool({ vms: 0 });
  const { pool, client } = world;
  const vm = await pool.addVm({ name: 'vm', diskMib: 2, powerState: 'Halted' });
  const { uuid } = vm;
  const snapshot = await client.call('VM.snapshot', vm.ref, 'taken');
  await client.call('VM.destroy', vm.ref);
  await client.call('VM.revert', snapshot);
  const back = pool.vm(uuid);
  expect(back.record()).toMatchObject({ name_label: 'vm', is_a_template: false, snapshots: [snapshot] });
  expect(back.disks).toHaveLength(1);
});

it('says that a revert failed half way, but for a full SR', async () => {
  await using world = await aPool({ vms: 0 });
  const { pool, client } = world;
  const vm = await pool.addVm({ name: 'vm', diskMib: 2 });
  const snapshot = await client.call('VM.snapshot', vm.ref, 'taken');
  pool.faults.add({ method: 'VDI.clone', times: 1, code: 'SR_BACKEND_FAILURE_40' });
  expect(await client.fails('VM.revert', snapshot)).toEqual(['VM_REVERT_FAILED', snapshot, vm.ref]);
  pool.faults.add({ method: 'VDI.clone', times: 1, code: 'SR_BACKEND_FAILURE_44' });
  expect(await client.fails('VM.revert', snapshot)).toEqual(['SR_BACKEND_FAILURE_44']);
});
