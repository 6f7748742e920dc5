import { isCode } from '../../xapi/errors.ts';
import type { Session } from '../../xapi/session.ts';
import { NULL_REF, type Ref, type SrRecord, type VdiRecord, type VmRecord } from '../../xapi/types.ts';
import { XensnapError } from '../errors.ts';
import type { JobRequest } from '../job.ts';
import { DEFAULT_FORMAT, type ImageFormat } from '../words.ts';
import { byPosition, type Disk, diskText } from './disk.ts';
import { chooseRoot, disksOfVm } from './vm-disks.ts';

/** SR types whose VHDs are files that the plugin reads (its CHAIN_SR_TYPES); other disks xapi exports. */
export const CHAIN_SR_TYPES: readonly string[] = ['ext', 'ext4', 'largeblock', 'nfs', 'xfs', 'zfs'];

/** A VHD can be no larger (max_vhd_size of xapi's constants.ml). */
export const MAX_VHD_BYTES = 2040 * 2 ** 30;

/** A VM that can be imaged, with all that was looked at to know it. */
export interface Inspection {
  readonly vmRef: Ref<'VM'>;
  readonly vm: VmRecord;
  readonly rootVdi: VdiRecord;
  /** Position of the root disk, as xapi has it in `userdevice`. */
  readonly device: string;
  /** Disks of the VM, the root's first; no CD drives. */
  readonly diskRefs: readonly Ref<'VDI'>[];
  readonly sr: SrRecord;
  readonly virtualBytes: number;
  /** Whether there is a chain of files to read for an image of that kind. */
  readonly readsChain: boolean;
  /** What an operator should know of the choice of the disk. */
  readonly warnings: readonly string[];
}

/** What of a request the inspection goes by. */
export type InspectionWish = Pick<JobRequest, 'quiesce' | 'maxSizeGib' | 'format' | 'device' | 'flatten'>;

/**
 * The one VM that a UUID or a name means. Throws VmNotFound, or VmNameAmbiguous with the candidates.
 * @param allows those that it may be; the others are as if they were not there
 */
export async function findVm(
  xapi: Session,
  nameOrUuid: string,
  allows?: (vm: VmRecord) => boolean,
): Promise<Ref<'VM'>> {
  const notFound = () => new XensnapError('VmNotFound', `There is no VM "${nameOrUuid}".`);
  try {
    const ref = await xapi.call('VM.get_by_uuid', nameOrUuid);
    if (allows && !allows(await xapi.call('VM.get_record', ref))) throw notFound();
    return ref;
  } catch (error) {
    if (!isCode(error, 'UUID_INVALID')) throw error;
  }
  const named = await xapi.call('VM.get_by_name_label', nameOrUuid);
  const all = await Promise.all(
    named.map(async (ref) => ({ ref, vm: await xapi.call('VM.get_record', ref) })),
  );
  const records = all.filter(({ vm }) => allows?.(vm) ?? true);
  const vms = records.filter(({ vm }) => !vm.is_a_snapshot && !vm.is_a_template && !vm.is_control_domain);
  if (vms.length > 1) {
    const candidates = vms.map(({ vm }) => ({
      uuid: vm.uuid,
      name: vm.name_label,
      powerState: vm.power_state,
    }));
    throw new XensnapError(
      'VmNameAmbiguous',
      `${vms.length} VMs are named "${nameOrUuid}". Name one by its UUID: ${candidates.map(({ uuid }) => uuid).join(', ')}.`,
      { details: { candidates } },
    );
  }
  // A template or snapshot of that name is told for what it is, by the checks that follow.
  const found = vms[0] ?? records[0];
  if (found) return found.ref;
  throw notFound();
}

/**
 * Looks at a VM and its root disk, and throws an error that says why it can't be imaged, if so. 4 calls for a VM with
 * one disk; one for each further disk.
 */
export async function inspectVm(
  xapi: Session,
  vmRef: Ref<'VM'>,
  request: InspectionWish,
): Promise<Inspection> {
  const vm = await xapi.call('VM.get_record', vmRef);
  refuseOtherThanVm(vm);
  const disks = await disksOfVm(xapi, vmRef);
  if (disks.length === 0) throw new XensnapError('VmHasNoDisk', `The VM "${vm.name_label}" has no disk.`);
  const { disk: root, vdi: rootVdi } = await chooseRoot(xapi, vm, disks, request.device);
  const sr = await xapi.call('SR.get_record', rootVdi.SR);
  const [diskFormat, imageFormat] = [formatOf(rootVdi), request.format ?? DEFAULT_FORMAT];
  refuseStorage(root, sr, diskFormat);
  refuseSize(root, request.maxSizeGib, imageFormat);
  await refuseQuiesce(xapi, vm, request.quiesce);
  const [lowest = root, ...others] = byPosition(disks.map(({ disk }) => disk));
  return {
    vmRef,
    vm,
    rootVdi,
    device: root.device,
    diskRefs: [root, ...[lowest, ...others].filter((disk) => disk !== root)].map(({ vdiRef }) => vdiRef),
    sr,
    virtualBytes: root.virtualBytes,
    readsChain:
      imageFormat === 'vhd' &&
      request.flatten !== true &&
      diskFormat === 'vhd' &&
      CHAIN_SR_TYPES.includes(sr.type),
    warnings:
      root === lowest
        ? []
        : [
            `The image is of the disk at ${diskText(root)}, not of the one at the lowest position, ${diskText(lowest)}.`,
          ],
  };
}

/** @throws VmIsControlDomain, VmIsSnapshot, VmIsTemplate */
export function refuseOtherThanVm(vm: VmRecord): void {
  const name = `"${vm.name_label}"`;
  if (vm.is_control_domain)
    throw new XensnapError('VmIsControlDomain', `${name} is a host's control domain, not a VM.`);
  if (vm.is_a_snapshot)
    throw new XensnapError('VmIsSnapshot', `${name} is a snapshot; name the VM that it was made of.`);
  if (vm.is_a_template) throw new XensnapError('VmIsTemplate', `${name} is a template, not a VM.`);
}

/**
 * The format of a disk's file. SM names it where it is not VHD, by a key that differs between its generations, and calls
 * raw by other names, too. The plugin's vdi_format is the same rule.
 */
export function formatOf({ sm_config }: Pick<VdiRecord, 'sm_config'>): string {
  const named = sm_config['image-format'] || sm_config.vdi_type || sm_config.type || 'vhd';
  return named === 'aio' || named === 'file' ? 'raw' : named;
}

/**
 * Whether an SR makes snapshots: its operations follow from its driver's capabilities (xapi_sr_operations.ml), but for
 * a while lack those that something under way excludes.
 */
export function makesSnapshots(sr: Pick<SrRecord, 'allowed_operations' | 'current_operations'>): boolean {
  return sr.allowed_operations.includes('vdi_snapshot') || Object.keys(sr.current_operations).length > 0;
}

function refuseStorage(disk: Disk, sr: SrRecord, format: string): void {
  if (!makesSnapshots(sr))
    throw new XensnapError(
      'StorageUnsupported',
      `The disk at ${diskText(disk)} is on "${sr.name_label}", an SR of type ${sr.type}, which makes no snapshots. Move the disk to another SR.`,
    );
  // SM makes no snapshots of raw disks either, whatever the SR.
  if (format === 'raw')
    throw new XensnapError(
      'DiskFormatUnsupported',
      `The disk at ${diskText(disk)} is a raw image, of which the SR makes no snapshots. Move the disk to an SR that keeps VHDs.`,
    );
}

function refuseSize(
  { device, virtualBytes }: Disk,
  maxSizeGib: number | undefined,
  format: ImageFormat,
): void {
  const gib = virtualBytes / 2 ** 30;
  if (maxSizeGib !== undefined && gib > maxSizeGib)
    throw new XensnapError(
      'DiskTooLarge',
      `The disk at ${device} has ${gib.toFixed(1)} GiB, more than the ${maxSizeGib} GiB of maxSizeGib.`,
    );
  if (format === 'vhd' && virtualBytes > MAX_VHD_BYTES)
    throw new XensnapError(
      'DiskTooLarge',
      `The disk at ${device} has ${gib.toFixed(1)} GiB, more than the 2040 GiB of a VHD. Ask for the format "raw".`,
    );
}

async function refuseQuiesce(xapi: Session, vm: VmRecord, quiesce: JobRequest['quiesce']): Promise<void> {
  if (quiesce !== 'require') return;
  if (vm.power_state !== 'Running')
    throw new XensnapError(
      'QuiesceNotSupported',
      `Only a running VM can be quiesced; "${vm.name_label}" is ${vm.power_state.toLowerCase()}.`,
    );
  if (await quiesceIsKnown(xapi)) return;
  throw new XensnapError(
    'QuiesceNotSupported',
    'This release of XenServer has no quiesced snapshots (removed in Citrix Hypervisor 8.1). Ask with "prefer" or "never".',
  );
}

/**
 * Whether the release still has VM.snapshot_with_quiesce. Asked of no VM: a removed call is refused before its
 * reference is looked at (gen_server.ml).
 */
export async function quiesceIsKnown(xapi: Session): Promise<boolean> {
  try {
    await xapi.call('VM.snapshot_with_quiesce', NULL_REF, '');
    return true;
  } catch (error) {
    if (isCode(error, 'HANDLE_INVALID')) return true;
    if (isCode(error, 'MESSAGE_REMOVED') || isCode(error, 'MESSAGE_METHOD_UNKNOWN')) return false;
    throw error;
  }
}
