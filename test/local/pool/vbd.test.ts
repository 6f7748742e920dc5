import { expect, it } from 'vitest';
import { aPool } from './a-pool.ts';

const vbdOf = (VM: unknown, VDI: unknown, more: object = {}) => ({
  ...{ VM, VDI, userdevice: 'autodetect', bootable: false, mode: 'RO', type: 'Disk', unpluggable: true },
  ...{ empty: false, other_config: {}, qos_algorithm_type: '', qos_algorithm_params: {}, ...more },
});

async function aHaltedDisk(options = {}) {
  const world = await aPool({ vms: 0, hosts: 2, ...options });
  const { pool, client } = world;
  const vm = await pool.addVm({ name: 'vm', diskMib: 2, sr: 'nfs', powerState: 'Halted' });
  const dom0s = await Promise.all(pool.hosts.map(({ ref }) => client.call('host.get_control_domain', ref)));
  return { world, pool, client, vm, disk: vm.rootVdi?.ref, dom0s };
}

it('plugs a disk into a control domain, where it is in use until it is unplugged', async () => {
  const { world, pool, client, disk, dom0s } = await aHaltedDisk();
  await using _ = world;
  const vbd = await client.call('VBD.create', vbdOf(dom0s[0], disk, { mode: 'RW' }));
  expect(await client.call('VBD.get_record', vbd)).toMatchObject({
    ...{ userdevice: '0', device: '', currently_attached: false },
    allowed_operations: expect.arrayContaining(['attach', 'plug']),
  });
  expect(await client.fails('VBD.unplug', vbd)).toEqual(['DEVICE_ALREADY_DETACHED', vbd]);
  await client.call('VBD.plug', vbd);
  expect(await client.fails('VBD.plug', vbd)).toEqual(['DEVICE_ALREADY_ATTACHED', vbd]);
  expect(await client.call('VBD.get_device', vbd)).toMatch(/^sm\/backend\//);
  expect(await client.call('VDI.get_sm_config', disk)).toMatchObject({
    [`host_${pool.hosts[0]?.ref}`]: 'RW',
  });
  expect((await pool.inventory()).attached).toHaveLength(1);
  expect(await client.fails('VDI.destroy', disk)).toEqual(['VDI_IN_USE', disk, 'destroy']);
  expect((await client.fails('VBD.destroy', vbd))[0]).toBe('OPERATION_NOT_ALLOWED');
  await client.call('VBD.unplug', vbd);
  expect(await client.call('VDI.get_sm_config', disk)).toEqual({});
  await client.call('VBD.destroy', vbd);
  expect(await client.fails('VBD.get_record', vbd)).toEqual(['HANDLE_INVALID', 'VBD', vbd]);
});

it('gives devices in turn, and none twice', async () => {
  const { world, client, disk, dom0s } = await aHaltedDisk();
  await using _ = world;
  const devices = [];
  for (let count = 0; count < 4; count += 1) {
    const vbd = await client.call('VBD.create', vbdOf(dom0s[0], disk));
    devices.push(await client.call('VBD.get_userdevice', vbd));
  }
  expect(devices).toEqual(['0', '1', '2', '3']);
  const create = (more: object) => client.fails('VBD.create', vbdOf(dom0s[0], disk, more));
  expect(await create({ userdevice: '1' })).toEqual(['DEVICE_ALREADY_EXISTS', '1']);
  expect(await create({ userdevice: 'sda' })).toEqual(['INVALID_DEVICE', 'sda']);
  expect(await create({ type: 'CD', mode: 'RW' })).toEqual(['VBD_CDS_MUST_BE_READONLY']);
  expect(await create({ VDI: 'OpaqueRef:NULL' })).toEqual(['HANDLE_INVALID', 'VDI', 'OpaqueRef:NULL']);
});

it('lets no second host write to a disk, and none attach an SR’s disk that it does not see', async () => {
  const { world, pool, client, vm, disk, dom0s } = await aHaltedDisk();
  await using _ = world;
  vm.setPowerState('Running');
  const far = await client.call('VBD.create', vbdOf(dom0s[1], disk));
  expect((await client.fails('VBD.plug', far))[0]).toBe('SR_BACKEND_FAILURE_46');
  const local = await pool.addVm({ name: 'local', diskMib: 2, powerState: 'Halted' });
  const unseen = await client.call('VBD.create', vbdOf(dom0s[1], local.rootVdi?.ref));
  expect((await client.fails('VBD.plug', unseen))[0]).toBe('SR_NOT_ATTACHED');
  const other = await pool.addVm({ name: 'other', diskMib: 2, sr: 'nfs' });
  const second = await client.call('VBD.create', vbdOf(other.ref, disk, { userdevice: '7' }));
  expect(await client.fails('VBD.plug', second)).toEqual(['VDI_IN_USE', disk]);
  const agentless = await pool.addVm({ name: 'agentless', diskMib: 2, agent: false });
  const third = await client.call('VBD.create', vbdOf(agentless.ref, disk, { userdevice: '7' }));
  expect(await client.fails('VBD.plug', third)).toEqual(['VM_MISSING_PV_DRIVERS', agentless.ref]);
});

it('forgets what a dead host had attached when it is back, and not before', async () => {
  const { world, pool, client, disk, dom0s } = await aHaltedDisk();
  await using _ = world;
  const member = pool.hosts[1]?.uuid ?? '';
  const vbd = await client.call('VBD.create', vbdOf(dom0s[1], disk, { mode: 'RW' }));
  await client.call('VBD.plug', vbd);
  await pool.setHost(member, { live: false });
  expect(await client.fails('VBD.unplug', vbd)).toEqual(['HOST_OFFLINE', pool.hosts[1]?.ref]);
  const here = await client.call('VBD.create', vbdOf(dom0s[0], disk, { mode: 'RW' }));
  expect((await client.fails('VBD.plug', here))[0]).toBe('SR_BACKEND_FAILURE_46');
  await pool.setHost(member, { live: true });
  expect(await client.fails('VBD.get_record', vbd)).toEqual(['HANDLE_INVALID', 'VBD', vbd]);
  await client.call('VBD.plug', here);
});

it('leaves a snapshot’s VBDs without operations, with metrics of their own', async () => {
  await using world = await aPool();
  const { pool, client } = world;
  const snapshot = await client.call('VM.snapshot', pool.vm('web-1').ref, 'taken');
  const vbds = (await client.call('VM.get_VBDs', snapshot)) as string[];
  for (const vbd of vbds) {
    expect(pool.record('VBD', vbd).allowed_operations).toEqual([]);
    expect(pool.record('VBD', vbd).metrics).toMatch(/^OpaqueRef:[0-9a-f]{8}-/);
  }
});
