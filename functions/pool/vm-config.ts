import type * as z from 'zod';
import type { Session } from '../../xapi/session.ts';
import { intOf, NULL_REF, type Ref, type VifRecord, type WholeVmRecord } from '../../xapi/types.ts';
import { mapBounded } from '../bounded.ts';
import { MOST_NVRAM_BYTES, VmConfig } from '../vm-config.ts';
import { positionOf } from './disk.ts';
import { disksOfVm } from './vm-disks.ts';

const READS_AT_ONCE = 8;
const { boot, platform, biosStrings, macSeed, nics: Nics } = VmConfig.shape;
const Nic = Nics.element.shape;
/** More interfaces than that no VM has; xapi has seven. */
const MOST_NICS = 16;

/**
 * Describes the VM that a snapshot is of, as the snapshot's own record has it: the VM's may be another by now. What does
 * not fit the description (a text that is too long, a key of `platform` that is not listed) is cut or left out.
 * @param name the VM's, since the snapshot has one of its own
 * @param device position of the disk that is imaged
 * @throws ZodError for a VM that cannot be described, such as one with less than a MiB of memory
 */
export async function describeVm(
  xapi: Session,
  templateRef: Ref<'VM'>,
  name: string,
  device: string,
): Promise<VmConfig> {
  const vm = await xapi.call('VM.get_record', templateRef);
  return VmConfig.parse({
    version: 1,
    name: cut(name, 255),
    description: cut(vm.name_description, 1024),
    tags: vm.tags.slice(0, 64).map((tag) => cut(tag, 255)),
    ...machineOf(vm),
    vtpm: vm.VTPMs.length > 0,
    tools: await hasTools(xapi, vm),
    nics: await nicsOf(xapi, templateRef),
    disk: await imagedDisk(xapi, templateRef, device),
  });
}

function machineOf(vm: WholeVmRecord) {
  const { shape } = VmConfig;
  const isHvm = vm.HVM_boot_policy !== '';
  const nvram = vm.NVRAM?.['EFI-variables'];
  const weight = Number(vm.VCPUs_params.weight);
  return {
    vcpus: {
      max: intOf(vm.VCPUs_max),
      atStartup: intOf(vm.VCPUs_at_startup),
      weight: valid(shape.vcpus.shape.weight, weight),
    },
    memory: {
      staticMin: intOf(vm.memory_static_min),
      dynamicMin: intOf(vm.memory_dynamic_min),
      dynamicMax: intOf(vm.memory_dynamic_max),
      staticMax: intOf(vm.memory_static_max),
    },
    domainType: valid(shape.domainType, vm.domain_type) ?? (isHvm ? 'hvm' : 'pv'),
    boot: {
      policy: isHvm ? 'BIOS order' : '',
      firmware: vm.HVM_boot_params.firmware === 'uefi' ? 'uefi' : 'bios',
      order: valid(boot.shape.order, vm.HVM_boot_params.order) ?? '',
    },
    platform: listed(platform, vm.platform),
    biosStrings: listed(biosStrings.unwrap(), vm.bios_strings),
    nvram: nvram !== undefined && nvram.length <= MOST_NVRAM_BYTES ? nvram : undefined,
    shadowMultiplier:
      vm.HVM_shadow_multiplier === 1 ? undefined : valid(shape.shadowMultiplier, vm.HVM_shadow_multiplier),
    hardwarePlatformVersion: intOf(vm.hardware_platform_version),
    hasVendorDevice: vm.has_vendor_device ?? false,
    afterShutdown: valid(shape.afterShutdown, vm.actions_after_shutdown),
    afterReboot: valid(shape.afterReboot, vm.actions_after_reboot),
    afterCrash: valid(shape.afterCrash, vm.actions_after_crash),
    macSeed: valid(macSeed, vm.other_config.mac_seed),
  };
}

/** Whether the guest's tools had told of themselves when the snapshot was taken, which copies what they told. */
async function hasTools(xapi: Session, { guest_metrics }: WholeVmRecord): Promise<boolean> {
  if (guest_metrics === NULL_REF) return false;
  const told = await xapi.call('VM_guest_metrics.get_record', guest_metrics);
  return told.PV_drivers_detected;
}

async function nicsOf(xapi: Session, templateRef: Ref<'VM'>) {
  const vifs = await xapi.call('VIF.get_all_records_where', `field "VM" = "${templateRef}"`);
  const sorted = Object.values(vifs).toSorted((a, b) => positionOf(a.device) - positionOf(b.device));
  return mapBounded(sorted.slice(0, MOST_NICS), READS_AT_ONCE, async (vif) => ({
    device: vif.device,
    mac: valid(Nic.mac, vif.MAC.toLowerCase()),
    mtu: intOf(vif.MTU),
    network: await networkOf(xapi, vif),
  }));
}

async function networkOf(xapi: Session, { network }: VifRecord) {
  const { uuid, name_label, PIFs } = await xapi.call('network.get_record', network);
  // Of one network all have the same; a private one has none.
  const [pif] = PIFs;
  const vlan = pif === undefined ? undefined : intOf((await xapi.call('PIF.get_record', pif)).VLAN, -1);
  return {
    uuid: valid(Nic.network.shape.uuid, uuid),
    name: cut(name_label, 255),
    vlan: valid(Nic.network.shape.vlan, vlan),
  };
}

async function imagedDisk(xapi: Session, templateRef: Ref<'VM'>, device: string) {
  const found = (await disksOfVm(xapi, templateRef)).find(({ disk }) => disk.device === device);
  if (!found) return undefined;
  const { disk, vdi } = found;
  return {
    device: disk.device,
    name: cut(disk.name, 255),
    description: cut(vdi.name_description, 1024),
    virtualBytes: disk.virtualBytes,
    bootable: disk.bootable,
  };
}

/** So many UTF-16 units at most, and no half of a pair. */
function cut(text: string, most: number): string {
  return text.slice(0, most).toWellFormed();
}

/** The value where the schema takes it. */
function valid<T>(schema: z.ZodType<T>, value: unknown): T | undefined {
  return schema.safeParse(value).data;
}

/** The entries that the schema of a map takes. */
function listed<T extends Record<string, unknown>>(
  schema: z.ZodType<T>,
  map: Readonly<Record<string, string>>,
): T {
  const entries = Object.entries(map).filter(([key, value]) => schema.safeParse({ [key]: value }).success);
  return schema.parse(Object.fromEntries(entries));
}
