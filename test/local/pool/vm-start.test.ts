import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { SimulatedPool, VmHandle } from '../../../local/pool/pool.ts';
import { aPool, until } from './a-pool.ts';
import { vbdRecord, vdiRecord, vmRecord } from './a-vm-record.ts';
import type { TestClient } from './client.ts';

type World = { pool: SimulatedPool; client: TestClient };

const GIB = 1024 ** 3;
const BOOT = { guestBootSeconds: 20 };

/** The disk's bytes, by way of a control domain. */
async function bytesOf({ pool, client }: World, vdi: unknown, write?: Buffer): Promise<Buffer> {
  const [host] = pool.hosts;
  const dom0 = await client.call('host.get_control_domain', host?.ref);
  const vbd = await client.call('VBD.create', vbdRecord(dom0, vdi));
  await client.call('VBD.plug', vbd);
  const path = join(host?.dom0Root ?? '', 'dev', String(await client.call('VBD.get_device', vbd)));
  if (write) await writeFile(path, write, { flag: 'r+' });
  const bytes = await readFile(path);
  await client.call('VBD.unplug', vbd);
  await client.call('VBD.destroy', vbd);
  return bytes;
}

/** A VM as a restore makes it, of a disk with these bytes. */
async function aRestored(
  world: World,
  bytes: Buffer,
  more: object = {},
  sr = 'NFS shared storage',
): Promise<VmHandle> {
  const { pool, client } = world;
  const vdi = await client.call(
    'VDI.create',
    vdiRecord(pool.srs.find(({ name }) => name === sr)?.ref, bytes.length),
  );
  await bytesOf(world, vdi, bytes);
  const vm = await client.call(
    'VM.create',
    vmRecord({ name_label: 'restored', HVM_boot_params: { firmware: 'bios', order: 'cd' }, ...more }),
  );
  await client.call('VBD.create', vbdRecord(vm, vdi, { userdevice: '0', bootable: true }));
  return pool.vm(String(pool.record('VM', String(vm)).uuid));
}

const hasTools = ({ pool }: Pick<World, 'pool'>, { record }: VmHandle): boolean => {
  const metrics = String(record().guest_metrics);
  return (
    metrics in pool.records('VM_guest_metrics') &&
    pool.record('VM_guest_metrics', metrics).PV_drivers_detected === true
  );
};

/** Long enough for every guest's agent that was to come. */
async function afterBoot({ pool, client }: World): Promise<void> {
  const witness = await pool.addVm({ name: 'witness', diskMib: 2, powerState: 'Halted' });
  await client.call('VM.start', witness.ref, false, false);
  await until(() => hasTools({ pool }, witness));
}

it('starts a VM on a disk with the bytes of another one’s, whose tools come after a while', async () => {
  await using world = await aPool({ vms: 0, guestBootSeconds: 2000 });
  const { pool, client } = world;
  const source = await pool.addVm({ name: 'source', diskMib: 8 });
  source.setPowerState('Halted');
  const vm = await aRestored(world, await bytesOf(world, source.rootVdi?.ref));
  await client.call('VM.start', vm.ref, false, false);
  expect(vm.record()).toMatchObject({
    ...{ power_state: 'Running', resident_on: pool.hosts[0]?.ref },
    bios_strings: { 'bios-vendor': 'Xen' },
  });
  expect(hasTools(world, vm)).toBe(false);
  expect(await client.fails('VM.clean_shutdown', vm.ref)).toEqual(['VM_LACKS_FEATURE', vm.ref]);
  await until(() => hasTools(world, vm));
  await client.call('VM.clean_shutdown', vm.ref);
  expect(vm.record().power_state).toBe('Halted');
  // What the guest told stays until it starts again.
  expect(hasTools(world, vm)).toBe(true);
  await client.call('VM.start', vm.ref, false, false);
  expect(hasTools(world, vm)).toBe(false);
  const messages = Object.values(pool.records('message')).map(({ name }) => name);
  expect(messages).toContain('VM_STARTED');
});

it.each([
  ['a byte of its system is another', 'flip', {}],
  ['its boot sector is zeros', 'zero', {}],
  ['it is made for other firmware', 'none', { HVM_boot_params: { firmware: 'uefi' } }],
  ['its firmware does not look at disks', 'none', { HVM_boot_params: { order: 'dn' } }],
])('runs a VM whose guest never comes up, where %s', async (_why, damage, more) => {
  await using world = await aPool({ vms: 0, ...BOOT });
  const { pool, client } = world;
  const source = await pool.addVm({ name: 'source', diskMib: 8, powerState: 'Halted' });
  const bytes = await bytesOf(world, source.rootVdi?.ref);
  if (damage === 'zero') bytes.fill(0, 0, 512);
  const needed = bytes.readUInt32LE(40) * 512;
  if (damage === 'flip') bytes[needed + 1000] = (bytes[needed + 1000] ?? 0) ^ 1;
  const vm = await aRestored(world, bytes, more);
  await client.call('VM.start', vm.ref, false, false);
  await afterBoot(world);
  expect([vm.record().power_state, hasTools(world, vm)]).toEqual(['Running', false]);
  await client.call('VM.hard_shutdown', vm.ref);
  await client.call('VM.destroy', vm.ref);
});

it('has no tools of a guest that never had any, on a disk that it keeps', async () => {
  await using world = await aPool({ vms: 0, ...BOOT });
  const { pool, client } = world;
  const source = await pool.addVm({ name: 'source', diskMib: 8, powerState: 'Halted', agent: false });
  const vm = await aRestored(world, await bytesOf(world, source.rootVdi?.ref));
  await client.call('VM.start', vm.ref, false, false);
  await afterBoot(world);
  expect(hasTools(world, vm)).toBe(false);
});

it('boots from a disk that its guest has written to meanwhile', async () => {
  await using world = await aPool({ vms: 0, ...BOOT });
  const { pool, client } = world;
  const vm = await pool.addVm({ name: 'vm', diskMib: 8 });
  for (let count = 0; count < 20; count += 1) await vm.writeSome();
  const boot = await bytesOf(world, vm.rootVdi?.ref).catch(() => Buffer.alloc(0));
  expect(boot.length).toBeGreaterThan(0);
  await vm.writeAt(boot.readUInt32LE(40) * 512, randomBytes(512));
  vm.setPowerState('Halted');
  await client.call('VM.start', vm.ref, false, false);
  await until(() => hasTools(world, vm));
});

it('waits with a guest that is started paused', async () => {
  await using world = await aPool({ ...BOOT });
  const { pool, client } = world;
  const vm = pool.vm('web-1');
  vm.setPowerState('Halted');
  await client.call('VM.start', vm.ref, true, false);
  expect(vm.record().power_state).toBe('Paused');
  await afterBoot(world);
  expect(hasTools(world, vm)).toBe(false);
  await client.call('VM.unpause', vm.ref);
  await until(() => hasTools(world, vm));
});

it('looks at SRs, networks and memory of each host only when a VM is to start', async () => {
  await using world = await aPool({
    vms: 0,
    hosts: 2,
    hostMemoryGib: 4,
    networks: [{ name: 'far', vlan: 7, hosts: ['xen2'] }],
  });
  const { pool, client } = world;
  const [here, there] = pool.hosts;
  const local = await pool.addVm({ name: 'local', diskMib: 2, powerState: 'Halted' });
  const onFar = await pool.addVm({
    name: 'far',
    diskMib: 2,
    sr: 'nfs',
    powerState: 'Halted',
    nics: [{ network: 'far' }],
  });
  const large = await pool.addVm({
    name: 'large',
    diskMib: 2,
    powerState: 'Halted',
    memoryMib: 6144,
    sr: 'nfs',
  });
  const both = await pool.addVm({
    name: 'both',
    diskMib: 2,
    powerState: 'Halted',
    nics: [{ network: 'far' }],
  });
  const startOn = (vm: VmHandle, host: unknown) => client.fails('VM.start_on', vm.ref, host, false, false);
  expect((await startOn(local, there?.ref)).slice(0, 2)).toEqual(['VM_REQUIRES_SR', local.ref]);
  expect((await startOn(onFar, here?.ref)).slice(0, 2)).toEqual(['VM_REQUIRES_NETWORK', onFar.ref]);
  const lacking = await startOn(large, here?.ref);
  expect(lacking[0]).toBe('HOST_NOT_ENOUGH_FREE_MEMORY');
  expect(Number(lacking[1])).toBeGreaterThan(6 * GIB);
  expect(Number(lacking[2])).toBe(Number(await client.call('host.compute_free_memory', here?.ref)));
  expect((await client.fails('VM.start', large.ref, false, false))[0]).toBe('HOST_NOT_ENOUGH_FREE_MEMORY');
  expect(await client.fails('VM.start', both.ref, false, false)).toEqual(['NO_HOSTS_AVAILABLE']);
  await client.call('VM.start', onFar.ref, false, false);
  expect(onFar.record().resident_on).toBe(there?.ref);
  await pool.setHost(here?.uuid ?? '', { enabled: false });
  expect(await startOn(local, here?.ref)).toEqual(['HOST_DISABLED', here?.ref]);
});

it.each([
  ['VCPUs_max', { VCPUs_max: '0' }, ['INVALID_VALUE', 'VCPUs_max', '0']],
  ['VCPUs-at-startup', { VCPUs_at_startup: '9' }, ['VALUE_NOT_SUPPORTED', 'VCPUs-at-startup', '9']],
  ['memory', { memory_static_min: String(GIB) }, ['MEMORY_CONSTRAINT_VIOLATION']],
  ['shadow', { HVM_shadow_multiplier: 0.5 }, ['INVALID_VALUE', 'HVM_shadow_multiplier', '0.5']],
  ['crash', { actions_after_crash: 'rename_restart' }, ['VALUE_NOT_SUPPORTED', 'VM.actions_after_crash']],
  [
    'cores',
    { VCPUs_max: '4', platform: { 'cores-per-socket': '3' } },
    ['VCPU_MAX_NOT_CORES_PER_SOCKET_MULTIPLE', '4', '3'],
  ],
  [
    'device model',
    { platform: { 'device-model': 'qemu-upstream-uefi' } },
    ['INVALID_VALUE', 'platform:device-model'],
  ],
  [
    'memory, of nested virtualisation,',
    { platform: { 'nested-virt': 'true' }, memory_dynamic_min: String(GIB / 4), memory_static_min: '0' },
    ['MEMORY_CONSTRAINT_VIOLATION_MAXPIN', 'nested virt'],
  ],
  ['pcpus', { VCPUs_max: '64', VCPUs_at_startup: '1' }, ['HOST_NOT_ENOUGH_PCPUS', '64', '32']],
])('makes a VM whose %s cannot be, and does not start it', async (_what, more, failure) => {
  await using world = await aPool({ vms: 0 });
  const { pool, client } = world;
  const vm = await client.call('VM.create', vmRecord(more));
  const startOn = await client.fails('VM.start_on', vm, pool.hosts[0]?.ref, false, false);
  expect(startOn.slice(0, failure.length)).toEqual(failure);
});

it('does not start on a disk that another host’s control domain writes to', async () => {
  await using world = await aPool({ vms: 0, hosts: 2 });
  const { pool, client } = world;
  const vm = await pool.addVm({ name: 'vm', diskMib: 2, sr: 'nfs', powerState: 'Halted' });
  const dom0 = await client.call('host.get_control_domain', pool.hosts[1]?.ref);
  const vbd = await client.call('VBD.create', vbdRecord(dom0, vm.rootVdi?.ref));
  await client.call('VBD.plug', vbd);
  const failure = await client.fails('VM.start_on', vm.ref, pool.hosts[0]?.ref, false, false);
  expect(failure[0]).toBe('SR_BACKEND_FAILURE_46');
  expect(vm.record().power_state).toBe('Halted');
});

it('is Halted, busy, and has its disk in use, until its domain is there', async () => {
  await using world = await aPool({ vms: 0, vmStartSeconds: 600 });
  const { pool, client } = world;
  const vm = await pool.addVm({ name: 'vm', diskMib: 2, powerState: 'Halted' });
  const disk = vm.rootVdi?.ref;
  const start = await client.call('Async.VM.start', vm.ref, false, false);
  const [vbd = ''] = (await client.call('VDI.get_VBDs', disk)) as string[];
  await until(() => pool.record('VBD', vbd).currently_attached === true);
  expect(vm.record()).toMatchObject({
    ...{
      power_state: 'Halted',
      resident_on: 'OpaqueRef:NULL',
      current_operations: { [String(start)]: 'start' },
    },
  });
  expect(pool.record('VBD', vbd).current_operations).toEqual({ [String(start)]: 'attach' });
  expect((await client.fails('VBD.destroy', vbd))[0]).toBe('OPERATION_NOT_ALLOWED');
  expect(await client.fails('VDI.destroy', disk)).toEqual(['VDI_IN_USE', disk, 'destroy']);
  expect((await client.fails('VM.hard_shutdown', vm.ref))[0]).toBe('VM_BAD_POWER_STATE');
  await client.call('task.cancel', start);
  await until(() => pool.record('task', String(start)).status === 'cancelled');
  expect(vm.record()).toMatchObject({ power_state: 'Halted', current_operations: {} });
  expect(pool.record('VBD', vbd)).toMatchObject({ currently_attached: false, current_operations: {} });
  await client.call('VM.start', vm.ref, false, false);
  expect(vm.record().power_state).toBe('Running');
});

it('leaves the disks of a VM attached whose host has died while it started', async () => {
  await using world = await aPool({ vms: 0, hosts: 2, vmStartSeconds: 600 });
  const { pool, client } = world;
  const vm = await pool.addVm({ name: 'vm', diskMib: 2, sr: 'nfs', powerState: 'Halted' });
  const start = client.fails('VM.start_on', vm.ref, pool.hosts[1]?.ref, false, false);
  const [vbd = ''] = (await client.call('VDI.get_VBDs', vm.rootVdi?.ref)) as string[];
  await until(() => pool.record('VBD', vbd).currently_attached === true);
  await pool.setHost(pool.hosts[1]?.uuid ?? '', { live: false });
  expect((await start)[0]).toBe('CANNOT_CONTACT_HOST');
  expect(vm.record()).toMatchObject({ power_state: 'Halted', current_operations: {} });
  expect((await client.fails('VBD.destroy', vbd))[0]).toBe('OPERATION_NOT_ALLOWED');
  await client.call('VM.start_on', vm.ref, pool.hosts[0]?.ref, false, false);
  await client.call('VM.hard_shutdown', vm.ref);
  await client.call('VBD.destroy', vbd);
});

it('strikes what a restore does with faults', async () => {
  await using world = await aPool({ vms: 0 });
  const { pool, client } = world;
  const { ref } = pool.srs[0] ?? { ref: '' };
  pool.faults.add({ method: 'VM.create', times: 1, drop: 'after' });
  await expect(client.call('VM.create', vmRecord({ name_label: 'lost' }))).rejects.toThrow();
  expect((await pool.inventory()).vms.filter(({ name }) => name === 'lost')).toHaveLength(1);
  pool.faults.add({ method: 'VDI.create', times: 1, code: 'SR_BACKEND_FAILURE_44' });
  expect(await client.task('VDI.create', vdiRecord(ref, 1024))).toMatchObject({
    ...{ status: 'failure', error_info: ['SR_BACKEND_FAILURE_44'] },
  });
  const vm = await pool.addVm({ name: 'vm', diskMib: 2, powerState: 'Halted' });
  pool.faults.add({ method: 'VM.start', times: 1, code: 'INTERNAL_ERROR', params: ['xenopsd'] });
  expect(await client.task('VM.start', vm.ref, false, false)).toMatchObject({ status: 'failure' });
  expect(await client.task('VM.start', vm.ref, false, false)).toMatchObject({ status: 'success' });
});
