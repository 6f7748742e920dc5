import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import type { SimulatedPool, VmSpec } from '../../local/pool/pool.ts';
import { askRestore, restored, takeAway } from '../support/restoring.ts';
import { POOL_NAME, type Scenario, type ScenarioOptions, scenario } from '../support/scenario.ts';

const deep: VmSpec = { name: 'vm', diskMib: 9, dataMib: 2, baseCopies: 3, tags: ['shop'] };

/** A pool that models its disks and whose coalescer stays away. */
function modelled(vm: VmSpec, more: ScenarioOptions = {}): Promise<Scenario> {
  return scenario({
    ...more,
    vms: [vm],
    pool: { vms: 0, keepModels: true, gcQuietSeconds: 1e6, ...more.pool },
    service: { timings: { coalesceMaxSeconds: 3 }, ...(typeof more.service === 'object' && more.service) },
  });
}

/** Whether a disk is what another was, and zeros beyond, since an SR makes whole blocks of it. */
async function isAsBefore({ modelPath }: SimulatedPool, uuid = '', before = ''): Promise<boolean> {
  const [now, then] = await Promise.all([readFile(modelPath(uuid)), readFile(modelPath(before))]);
  return now.subarray(0, then.length).equals(then) && now.subarray(then.length).every((byte) => byte === 0);
}

it.each<[string, VmSpec, object, { sr?: string }]>([
  ['a chain into an ext SR', deep, {}, {}],
  ['a chain into an NFS SR', deep, {}, { sr: 'NFS shared storage' }],
  ['a flattened one into an lvm SR', { ...deep, sr: 'lvm' }, {}, {}],
  ['a raw one into an ext SR', deep, { format: 'raw' }, {}],
])('brings the disk of %s back as it was at the snapshot’s moment', async (_, vm, image, wish) => {
  const { pool, service, request, job } = await modelled(vm, { pool: { guestWrites: true } });
  const taken = await job(await request('vm', image));
  expect(taken).toMatchObject({ status: 'succeeded' });
  await pool.vm('vm').writeSome();
  const done = await restored(service, await askRestore(service, taken.id, wish));
  expect(done).toMatchObject({ status: 'succeeded', committed: true });
  expect(done.error).toBeUndefined();
  expect(await isAsBefore(pool, done.diskUuid, taken.snapshotDisks?.[0])).toBe(true);
  await takeAway(service, done);
});

/** All that a VM can be made of, on networks of its own. */
const WHOLE: VmSpec = {
  name: 'whole',
  description: 'the shop’s',
  tags: ['shop', 'prod'],
  diskMib: 8,
  powerState: 'Halted',
  memoryMib: 512,
  vcpus: 3,
  boot: { firmware: 'uefi', order: 'cdn' },
  nvram: { 'EFI-variables': 'Qk9PVA==' },
  biosStrings: { 'bios-vendor': 'Dell', 'system-serial-number': '4711' },
  platform: { viridian: 'true' },
  nics: [{ network: 'front', mac: '02:00:00:00:00:01', mtu: 9000 }, { network: 'back' }],
  vtpm: true,
};
const NETWORKS = [{ name: 'front', vlan: 42 }, { name: 'back' }];

/** A VM as its operator sees it: without what each VM has of its own. */
async function seen({ service }: Scenario, uuid: string) {
  return service.runtime.withSession(POOL_NAME, async (xapi) => {
    const ref = await xapi.call('VM.get_by_uuid', uuid);
    const vm = await xapi.call('VM.get_record', ref);
    const vifs = Object.values(await xapi.call('VIF.get_all_records_where', `field "VM" = "${ref}"`));
    const vbds = Object.values(await xapi.call('VBD.get_all_records_where', `field "VM" = "${ref}"`));
    const { mac_seed, ...other } = vm.other_config;
    return {
      ...{ name: vm.name_label, description: vm.name_description, tags: vm.tags, platform: vm.platform },
      ...{ memory: vm.memory_static_max, dynamic: vm.memory_dynamic_max, vcpus: vm.VCPUs_max },
      ...{ boot: vm.HVM_boot_params, policy: vm.HVM_boot_policy, nvram: vm.NVRAM, bios: vm.bios_strings },
      ...{ vtpms: vm.VTPMs.length, shadow: vm.HVM_shadow_multiplier, seed: mac_seed },
      tagged: Object.keys(other).filter((key) => key.startsWith('xensnap')),
      vifs: vifs
        .map(({ device, network, MAC, MTU }) => ({ device, network, MAC, MTU }))
        .toSorted((a, b) => a.device.localeCompare(b.device)),
      vbds: vbds
        .map(({ userdevice, bootable, mode, type }) => ({ userdevice, bootable, mode, type }))
        .toSorted((a, b) => a.userdevice.localeCompare(b.userdevice)),
    };
  });
}

it('makes the VM that it was: its record, disk, interfaces, firmware and vTPM, and no trace of itself', async () => {
  const at = await modelled(WHOLE, {
    pool: { networks: NETWORKS },
    // The interfaces that are taken away below.
    leaves: [expect.stringMatching(/^pool: vms: more: .*"name":"whole".*"vifs":\[\]/)],
  });
  const { pool, service, request, job } = at;
  const taken = await job(await request('whole'));
  const before = await seen(at, pool.vm('whole').uuid);
  const { vdis } = await pool.inventory();
  const diskName = vdis.find(({ uuid }) => uuid === pool.vm('whole').rootVdi?.uuid)?.name;
  // So that its addresses are nobody's.
  await service.runtime.withSession(POOL_NAME, async (xapi) => {
    for (const vif of Object.keys(await xapi.call('VIF.get_all_records_where', 'true')))
      await xapi.call('VIF.destroy', vif as never);
  });
  const done = await restored(service, await askRestore(service, taken.id));
  expect(done).toMatchObject({ status: 'succeeded', vmName: 'whole', restoredMacs: 'kept' });
  expect(done.warnings).toEqual([expect.stringContaining('virtual TPM is a new one')]);
  const { bios, ...now } = await seen(at, done.restoredVmUuid ?? '');
  const { bios: biosBefore, ...then } = before;
  expect(now).toEqual({ ...then, tagged: [] });
  expect(bios).toMatchObject(biosBefore);
  const [disk] = (await pool.inventory()).vdis.filter(({ uuid }) => uuid === done.diskUuid);
  expect(disk).toMatchObject({ name: diskName, otherConfig: {} });
  const vm = (await pool.inventory()).vms.find(({ uuid }) => uuid === done.restoredVmUuid);
  expect(vm?.name).toBe('whole');
  await takeAway(service, done);
}, 180_000);
