import { expect, it } from 'vitest';
import { aPool } from './a-pool.ts';

it('makes VMs with disks on several SRs, at any device, with a CD drive where it is wanted', async () => {
  await using world = await aPool({ vms: 0 });
  const { pool, client } = world;
  const vm = await pool.addVm({
    name: 'a/b "c" $(d) \u202e ü',
    boot: { firmware: 'uefi', order: 'dc' },
    cd: { device: 0, bootable: true },
    disks: [
      { device: 5, bootable: true, sr: 'nfs', mib: 4, name: 'system' },
      { device: 2, mib: 2 },
      { sr: 'lvmoiscsi', mib: 8 },
    ],
  });
  const vbds = Object.values(
    (await client.call('VBD.get_all_records_where', `field "VM" = "${vm.ref}"`)) as Record<
      string,
      Record<string, unknown>
    >,
  );
  const byDevice = Object.fromEntries(
    vbds.map(({ userdevice, device, type, bootable, VDI }) => {
      if (VDI === 'OpaqueRef:NULL') return [userdevice, { device, type, bootable }];
      const { SR, name_label, virtual_size } = pool.record('VDI', String(VDI));
      const sr = pool.record('SR', String(SR)).type;
      return [userdevice, { device, type, bootable, sr, name_label, mib: Number(virtual_size) / 1024 ** 2 }];
    }),
  );
  const name_label = vm.name;
  expect(byDevice).toEqual({
    0: { device: 'xvda', type: 'CD', bootable: true },
    1: {
      device: 'xvdb',
      type: 'Disk',
      bootable: false,
      sr: 'lvmoiscsi',
      name_label: `${name_label} 2`,
      mib: 8,
    },
    2: { device: 'xvdc', type: 'Disk', bootable: false, sr: 'ext', name_label: `${name_label} 1`, mib: 2 },
    5: { device: 'xvdf', type: 'Disk', bootable: true, sr: 'nfs', name_label: 'system', mib: 4 },
  });
  expect(await client.call('VM.get_record', vm.ref)).toMatchObject({
    name_label,
    HVM_boot_params: { firmware: 'uefi', order: 'dc' },
  });
  expect(vm.disks.map(({ device }) => device)).toEqual([1, 2, 5]);
  expect(vm.rootVdi?.device).toBe(1);
});

it('has metrics of the guest while it runs with an agent, and of VM and host always', async () => {
  await using world = await aPool({ vms: 0 });
  const { pool, client } = world;
  const withAgent = await pool.addVm({ name: 'with', diskMib: 2 });
  const without = await pool.addVm({ name: 'without', diskMib: 2, agent: false });
  const metricsOf = (vm: string) => client.call('VM.get_guest_metrics', vm);
  expect(await client.call('VM_guest_metrics.get_record', await metricsOf(withAgent.ref))).toMatchObject({
    ...{ PV_drivers_detected: true, live: true, can_use_hotplug_vbd: 'yes' },
  });
  expect(await client.call('VM_guest_metrics.get_record', await metricsOf(without.ref))).toMatchObject({
    ...{ PV_drivers_detected: false, PV_drivers_version: {}, can_use_hotplug_vbd: 'unspecified' },
  });
  expect(await client.fails('VM.clean_shutdown', without.ref)).toEqual(['VM_LACKS_FEATURE', without.ref]);
  const metrics = await client.call('VM.get_metrics', withAgent.ref);
  expect(await client.call('VM_metrics.get_record', metrics)).toMatchObject({ VCPUs_number: '2', hvm: true });
  const ofHost = await client.call('host.get_metrics', pool.hosts[0]?.ref);
  expect(await client.call('host_metrics.get_live', ofHost)).toBe(true);
});
