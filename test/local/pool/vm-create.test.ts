import { expect, it } from 'vitest';
import { aPool } from './a-pool.ts';
import { vmRecord } from './a-vm-record.ts';

it('makes a VM of a record, without what the record cannot say', async () => {
  await using world = await aPool({ vms: 0 });
  const { pool, client } = world;
  const vm = (await client.call(
    'VM.create',
    vmRecord({
      ...{
        name_label: 'restored',
        uuid: '5d2b8a60-0000-4000-8000-000000000001',
        NVRAM: { 'EFI-variables': 'AA' },
      },
      ...{ bios_strings: { 'bios-vendor': 'Dell' }, blocked_operations: { start: 'no' } },
      ...{ suspend_VDI: 'OpaqueRef:gone', VBDs: ['OpaqueRef:a'], tags: ['shop'] },
    }),
  )) as string;
  expect(pool.record('VM', vm)).toMatchObject({
    ...{ name_label: 'restored', power_state: 'Halted', NVRAM: { 'EFI-variables': 'AA' }, tags: ['shop'] },
    ...{ bios_strings: {}, blocked_operations: {}, suspend_VDI: 'OpaqueRef:NULL', VBDs: [] },
    ...{ domain_type: 'hvm', HVM_shadow_multiplier: 1, has_vendor_device: true, generation_id: '0:0' },
    ...{ other_config: { mac_seed: expect.stringMatching(/^[0-9a-f-]{36}$/) } },
    ...{ allowed_operations: expect.arrayContaining(['start', 'destroy', 'create_vtpm']) },
  });
  expect(pool.record('VM', vm).uuid).not.toBe('5d2b8a60-0000-4000-8000-000000000001');
});

it('keeps a seed, and takes a domain’s type from the boot policy', async () => {
  await using world = await aPool({ vms: 0 });
  const { client } = world;
  const vm = await client.call(
    'VM.create',
    vmRecord({ HVM_boot_policy: '', other_config: { mac_seed: 'mine' } }),
  );
  expect(await client.call('VM.get_other_config', vm)).toEqual({ mac_seed: 'mine' });
  expect(await client.call('VM.get_domain_type', vm)).toBe('pv');
});

it('gives a VM with a vendor’s device the hardware that it needs', async () => {
  await using world = await aPool({ vms: 0 });
  const { client } = world;
  const versionOf = async (more: object) =>
    client.call('VM.get_hardware_platform_version', await client.call('VM.create', vmRecord(more)));
  expect(await versionOf({ has_vendor_device: true, hardware_platform_version: '0' })).toBe('2');
  expect(await versionOf({ has_vendor_device: false, hardware_platform_version: '1' })).toBe('1');
});

it('refuses a record that lacks a field, or has one of another type', async () => {
  await using world = await aPool({ vms: 0 });
  const { client } = world;
  const fails = (record: unknown) => client.fails('VM.create', record);
  const { PV_args: _none, ...lacking } = vmRecord();
  expect(await fails(lacking)).toEqual([
    'INTERNAL_ERROR',
    'Server_helpers.Dispatcher_FieldNotFound("PV_args")',
  ]);
  expect((await fails(vmRecord({ HVM_shadow_multiplier: 1 })))[1]).toContain('Expected float');
  expect((await fails(vmRecord({ is_a_template: 'false' })))[1]).toContain('Expected bool');
  expect((await fails(vmRecord({ platform: [] })))[1]).toContain('Rpc.Dict');
  expect((await fails(vmRecord({ actions_after_crash: 'explode' })))[0]).toBe('INTERNAL_ERROR');
  expect((await fails(vmRecord({ VCPUs_max: 'two' })))[1]).toContain('Int64.of_string');
  expect((await fails('a text'))[1]).toContain('bad __structure');
});

it('makes no suspended VM that nothing could resume', async () => {
  await using world = await aPool({ vms: 0 });
  const failure = await world.client.fails('VM.create', vmRecord({ power_state: 'Suspended' }));
  expect(failure[0]).toBe('VM_BAD_POWER_STATE');
  expect(world.pool.vms()).toEqual([]);
});

it('takes BIOS strings once, by listed keys', async () => {
  await using world = await aPool({ vms: 0 });
  const { client } = world;
  const vm = await client.call('VM.create', vmRecord());
  const fails = (value: object) => client.fails('VM.set_bios_strings', vm, value);
  expect(await fails({ 'oem-1': 'Dell' })).toEqual(['INVALID_VALUE', 'oem-1', 'Unknown key']);
  expect(await fails({ 'bios-vendor': '' })).toEqual([
    'INVALID_VALUE',
    'bios-vendor',
    'Value provided is empty',
  ]);
  expect((await fails({ 'bios-vendor': 'ü' }))[0]).toBe('INVALID_VALUE');
  await client.call('VM.set_bios_strings', vm, { 'bios-vendor': 'Dell' });
  expect(await client.call('VM.get_bios_strings', vm)).toMatchObject({
    ...{ 'bios-vendor': 'Dell', 'system-manufacturer': 'Xen', 'hp-rombios': '', 'oem-1': 'Xen' },
  });
  expect(await fails({ 'bios-vendor': 'HP' })).toEqual(['VM_BIOS_STRINGS_ALREADY_SET']);
});

it('keeps a blocked operation away until it is allowed again', async () => {
  await using world = await aPool();
  const { pool, client } = world;
  const vm = pool.vm('web-1');
  vm.setPowerState('Halted');
  await client.call('VM.add_to_blocked_operations', vm.ref, 'start', 'importing');
  expect(vm.record().allowed_operations).not.toContain('start');
  expect(await client.fails('VM.start', vm.ref, false, false)).toEqual([
    ...['OPERATION_BLOCKED', vm.ref, 'importing'],
  ]);
  expect((await client.fails('VM.add_to_blocked_operations', vm.ref, 'start', 'x'))[0]).toBe(
    'MAP_DUPLICATE_KEY',
  );
  await client.call('VM.remove_from_blocked_operations', vm.ref, 'start');
  expect(vm.record().allowed_operations).toContain('start');
});
