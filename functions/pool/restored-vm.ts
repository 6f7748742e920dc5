import { randomBytes } from 'node:crypto';
import { isCode } from '../../xapi/errors.ts';
import type { Session } from '../../xapi/session.ts';
import { type NewVm, NULL_REF, type Ref, type WholeVmRecord } from '../../xapi/types.ts';
import type { RestoreJob } from '../job.ts';
import { nameAtWork } from '../restored.ts';
import type { VmConfig } from '../vm-config.ts';
import { byUuid, GONE, unlessUnknown } from './gone.ts';
import { isOf } from './restored-disk.ts';
import { tagsOf } from './tags.ts';

/** A VM that a restore has made. */
export interface MadeVm {
  readonly ref: Ref<'VM'>;
  readonly record: WholeVmRecord;
}

/**
 * The VMs that a restore has made and not given away: by the UUID on record, and by their name, for what was made by a
 * call whose reply was lost. Only what carries the job's tag with our installation's name counts.
 */
export async function vmsMadeBy(
  xapi: Session,
  job: RestoreJob,
  installation: string,
): Promise<readonly MadeVm[]> {
  const onRecord =
    job.restoredVmUuid === undefined ? undefined : await byUuid(xapi, 'VM', job.restoredVmUuid);
  const named = await xapi.call('VM.get_by_name_label', nameAtWork(job));
  const found: MadeVm[] = [];
  for (const ref of new Set([...(onRecord === undefined ? [] : [onRecord]), ...named])) {
    const record = await unlessUnknown('VM', ref, () => xapi.call('VM.get_record', ref));
    if (record !== GONE && isOf(record.other_config, job.id, installation)) found.push({ ref, record });
  }
  return found;
}

/**
 * The record of which xapi makes the VM. Nothing in it is the image's own text but names, tags and what the reader lets
 * through; a kernel or a bootloader with its arguments never is.
 * @param macSeed by which xapi makes the addresses that nobody has set; its own random one if absent
 */
export function vmRecordOf(
  job: RestoreJob,
  config: VmConfig,
  { installation, macSeed }: { readonly installation: string; readonly macSeed: string | undefined },
): NewVm {
  const { vcpus, memory, boot } = config;
  const dynamicMax = Math.min(memory.dynamicMax, memory.staticMax);
  const dynamicMin = Math.min(Math.max(memory.dynamicMin, memory.staticMin), dynamicMax);
  return {
    name_label: nameAtWork(job),
    name_description: config.description ?? '',
    user_version: '1',
    is_a_template: false,
    affinity: NULL_REF,
    memory_static_max: String(memory.staticMax),
    memory_dynamic_max: String(dynamicMax),
    memory_dynamic_min: String(dynamicMin),
    memory_static_min: String(Math.min(memory.staticMin, dynamicMin)),
    VCPUs_params: vcpus.weight === undefined ? {} : { weight: String(vcpus.weight) },
    VCPUs_max: String(vcpus.max),
    VCPUs_at_startup: String(Math.min(vcpus.atStartup, vcpus.max)),
    actions_after_shutdown: config.afterShutdown ?? 'destroy',
    actions_after_reboot: config.afterReboot ?? 'restart',
    actions_after_crash: config.afterCrash ?? 'restart',
    // What a paravirtualised guest boots is on its disk; pygrub reads it there.
    PV_bootloader: boot.policy === '' ? 'pygrub' : '',
    PV_kernel: '',
    PV_ramdisk: '',
    PV_args: '',
    PV_bootloader_args: '',
    PV_legacy_args: '',
    HVM_boot_policy: boot.policy,
    HVM_boot_params: boot.policy === '' ? {} : { order: boot.order, firmware: boot.firmware },
    ...(config.shadowMultiplier !== undefined && { HVM_shadow_multiplier: config.shadowMultiplier }),
    platform: config.platform,
    PCI_bus: '',
    other_config: {
      ...tagsOf(job.id, installation),
      ...(macSeed !== undefined && { mac_seed: macSeed }),
    },
    recommendations: '',
    // Schedules and projects go by them: the VM gets its own once it is whole.
    tags: [],
    hardware_platform_version: String(config.hardwarePlatformVersion),
    has_vendor_device: config.hasVendorDevice,
    generation_id: newGenerationId(),
    ...(config.domainType !== 'unspecified' && { domain_type: config.domainType }),
    ...(config.nvram !== undefined && { NVRAM: { 'EFI-variables': config.nvram } }),
  };
}

/** Another one, by which a guest sees that it was brought back, as xapi gives one to each VM that it imports. */
function newGenerationId(): string {
  const half = () => randomBytes(8).readBigUInt64BE() >> 1n;
  return `${half()}:${half()}`;
}

/** Attaches the disk, as the one that the VM boots from; an empty CD drive, too, where there can be one. */
export async function attachDisk(
  xapi: Session,
  vmRef: Ref<'VM'>,
  vdiRef: Ref<'VDI'>,
  { disk, boot }: Pick<VmConfig, 'disk' | 'boot'>,
): Promise<void> {
  const there = Object.values(await xapi.call('VBD.get_all_records_where', `field "VM" = "${vmRef}"`));
  const shared = { VM: vmRef, other_config: {}, qos_algorithm_type: '', qos_algorithm_params: {} };
  if (!there.some(({ VDI }) => VDI === vdiRef))
    await xapi.call('VBD.create', {
      ...shared,
      ...{ VDI: vdiRef, userdevice: disk.device, bootable: true, mode: 'RW', type: 'Disk' },
      ...{ unpluggable: true, empty: false },
    });
  if (boot.policy === '' || there.some(({ type }) => type === 'CD')) return;
  const userdevice = disk.device === CD_DEVICE ? OTHER_CD_DEVICE : CD_DEVICE;
  await xapi
    .call('VBD.create', {
      ...shared,
      ...{ VDI: NULL_REF, userdevice, bootable: false, mode: 'RO', type: 'CD' },
      ...{ unpluggable: true, empty: true },
    })
    .catch(unless('DEVICE_ALREADY_EXISTS'));
}

/** Where XenServer's own templates have it. */
const CD_DEVICE = '3';
const OTHER_CD_DEVICE = '1';

/**
 * Sets what the guest sees of its maker, before the VM's first start and once only. Answers why that cannot be.
 */
export async function setBiosStrings(
  xapi: Session,
  vmRef: Ref<'VM'>,
  { biosStrings = {} }: VmConfig,
): Promise<string | undefined> {
  const given = Object.fromEntries(Object.entries(biosStrings).filter(([, text]) => text !== ''));
  if (Object.keys(given).length === 0) return undefined;
  try {
    await xapi.call('VM.set_bios_strings', vmRef, given);
  } catch (error) {
    if (isCode(error, 'VM_BIOS_STRINGS_ALREADY_SET')) return undefined;
    if (isCode(error, 'MESSAGE_METHOD_UNKNOWN', 'INVALID_VALUE')) return error.message;
    throw error;
  }
  return undefined;
}

/** Gives the VM a vTPM, which is empty. Answers why it has none. */
export async function addVtpm(xapi: Session, { ref, record }: MadeVm): Promise<string | undefined> {
  if (record.VTPMs.length > 0) return undefined;
  try {
    await xapi.call('VTPM.create', ref, false);
  } catch (error) {
    if (isCode(error, 'VTPM_MAX_AMOUNT_REACHED')) return undefined;
    if (isCode(error, 'FEATURE_RESTRICTED', 'MESSAGE_METHOD_UNKNOWN', 'LICENCE_RESTRICTION'))
      return error.message;
    throw error;
  }
  return undefined;
}

/** Takes one refusal for success: what was to be is so already. */
function unless(code: string): (error: unknown) => void {
  return (error) => {
    if (!isCode(error, code)) throw error;
  };
}
