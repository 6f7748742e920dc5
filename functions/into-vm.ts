import { shorten } from '../glance/shorten.ts';
import type { Session } from '../xapi/session.ts';
import type { VmRecord } from '../xapi/types.ts';
import { XensnapError } from './errors.ts';
import type { IntoVm } from './job.ts';
import type { Exchanged } from './pool/exchange.ts';
import { findVm, refuseOtherThanVm } from './pool/inspect.ts';
import { refuseUnlessHaltable } from './pool/shut-down.ts';
import { chooseRoot, disksOfVm } from './pool/vm-disks.ts';
import { nameOfVm } from './pool/vm-name.ts';
import type { RestorableImage } from './restorable-image.ts';

const MOST_NAME_CHARACTERS = 100;

/** A wish to have an image's disk in the place of one that a VM has. */
export interface IntoWish {
  /** UUID or name of the VM. */
  readonly into: string;
  /** Position of the disk; that of the one that the VM boots from if absent. */
  readonly device?: string | undefined;
  /** Whether a running VM may be asked to shut down. */
  readonly shutdown?: boolean | undefined;
  /** Says which VMs the caller may touch; all if absent. */
  readonly allows?: ((vm: VmRecord) => boolean) | undefined;
}

/**
 * The VM that an image is to go into, and the disk that makes room for it.
 * @throws VmNotFound, VmNameAmbiguous, VmIsControlDomain, VmIsSnapshot, VmIsTemplate, VmHasNoDisk, RootDiskAmbiguous,
 *   BadRequest where there is no disk at the position, VmNotHalted
 */
export async function findIntoVm(
  xapi: Session,
  { into, device, shutdown = false, allows }: IntoWish,
): Promise<IntoVm> {
  const ref = await findVm(xapi, into, allows);
  const vm = await xapi.call('VM.get_record', ref);
  refuseOtherThanVm(vm);
  refuseUnlessHaltable(vm, shutdown);
  const busy = Object.keys(vm.current_operations).length > 0;
  if (vm.power_state === 'Running' && !busy && !vm.allowed_operations.includes('clean_shutdown'))
    throw new XensnapError(
      'VmNotHalted',
      `The VM "${vm.name_label}" cannot be asked to shut down: its guest runs no XenServer tools, or somebody has blocked that. Shut it down yourself.`,
    );
  const attached = await disksOfVm(xapi, ref);
  if (attached.length === 0) throw new XensnapError('VmHasNoDisk', `The VM "${vm.name_label}" has no disk.`);
  const { disk, vdi } = await chooseRoot(xapi, vm, attached, device);
  const { uuid: srUuid } = await xapi.call('SR.get_record', vdi.SR);
  return {
    ...{ uuid: vm.uuid, name: nameOfVm(vm), device: disk.device },
    ...{ diskUuid: vdi.uuid, srUuid, shutdown },
  };
}

/**
 * Refuses an image of another disk of that VM than the one that it boots from, where nobody has said which one is meant.
 * @throws BadRequest
 */
export function refuseOtherDisk(
  { uuid, name, device }: IntoVm,
  { vmUuid, vmConfig }: Pick<RestorableImage, 'vmUuid' | 'vmConfig'>,
): void {
  const own = vmConfig?.disk.device;
  if (vmUuid !== uuid || own === undefined || own === device) return;
  throw new XensnapError(
    'BadRequest',
    `device: the image is of the disk at ${own} of the VM "${name}", and the one at ${device} would be exchanged. Name the one that is meant.`,
  );
}

/** What whoever restores an image into a VM that it is not of should know. */
export function otherVmWarning(
  { uuid, name }: IntoVm,
  { vmUuid, vmName }: Pick<RestorableImage, 'vmUuid' | 'vmName'>,
): string | undefined {
  if (vmUuid === undefined || vmUuid === uuid) return undefined;
  const other = vmName === undefined ? '' : `, "${shorten(vmName, MOST_NAME_CHARACTERS)}",`;
  return `The image is of another VM${other} than "${name}", whose disk it takes.`;
}

/** Why a disk could not be exchanged: the VM is no longer as the restore was asked for, or a disk is not. */
export function whyNotExchanged(ended: Exclude<Exchanged, 'done'>, { name, device }: IntoVm): XensnapError {
  switch (ended) {
    case 'VM gone':
      return new XensnapError('VmGone', `The VM "${name}" is no longer there.`);
    case 'not halted':
      return new XensnapError(
        'VmNotHalted',
        `The VM "${name}" was started while its disk was to be exchanged. It keeps the disk that it has.`,
      );
    case 'other disk':
      return new XensnapError(
        'VmChanged',
        `The VM "${name}" has another disk at ${device} than before, or none: it was left as it is.`,
      );
    case 'disk gone':
      return new XensnapError('VmChanged', `The disk that the VM "${name}" is to have is gone.`);
    case 'disk held':
      return new XensnapError(
        'VmChanged',
        `The disk that the VM "${name}" is to have is attached elsewhere.`,
      );
  }
}
