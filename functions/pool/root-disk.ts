import type { VmRecord } from '../../xapi/types.ts';
import { XensnapError } from '../errors.ts';
import { byPosition, type Disk, diskText } from './disk.ts';

type BootSettings = Pick<VmRecord, 'HVM_boot_policy' | 'HVM_boot_params' | 'PV_bootloader'>;

/** Xen Orchestra's cloud-init drives have 10 MiB, Nova's config drives 64 at most; systems have more. */
const CONFIG_DRIVE_BYTES = 64 * 2 ** 20;

/**
 * The disk that a VM boots from, or why nobody can say which one it is (docs/adr/0027):
 *
 * 1. One disk alone is it, whatever its position.
 * 2. Of several, the only one that is marked bootable is it; where none is, the one at the lowest position.
 * 3. It is in doubt
 *    - where several are marked;
 *    - where that disk is so small, or read-only, that it may hold the VM's configuration beside a real disk;
 *    - where a disk that may hold a system comes before the one that is marked: firmware goes by the position. Only a
 *      PV bootloader goes by the mark (boot_method_of_vm in xapi's helpers.ml);
 *    - where none is marked, and the boot order has no hard disk in it.
 *
 * The boot order (`HVM_boot_params.order`) names kinds of devices and never one of several hard disks. What UEFI keeps
 * in its own variables is not looked at.
 * @param disks those of the VM, without CD drives and empty VBDs; at least one
 */
export function rootDiskOf(vm: BootSettings, disks: readonly Disk[]): Disk | { readonly doubt: string } {
  const sorted = byPosition(disks);
  const marked = sorted.filter(({ bootable }) => bootable);
  const found = marked[0] ?? sorted[0];
  if (!found) return { doubt: 'there is none' };
  if (sorted.length === 1) return found;
  if (marked.length > 1) return { doubt: `${marked.length} are marked bootable` };
  if (mayHoldConfiguration(found, sorted)) {
    const why = marked.length > 0 ? 'is marked bootable' : 'comes first';
    return { doubt: `the one at ${found.device} ${why}, but looks like a drive for the VM's configuration` };
  }
  if (marked.length === 0 && bootsFromNoDisk(vm))
    return { doubt: `none is marked bootable, and the boot order "${orderOf(vm)}" has no hard disk in it` };
  const rival = sorted
    .slice(0, sorted.indexOf(found))
    .find((disk) => !mayHoldConfiguration(disk, sorted) && !goesByMark(vm));
  if (!rival) return found;
  return {
    doubt: `the one at ${rival.device} comes first, but the one at ${found.device} is marked bootable`,
  };
}

/** Small or read-only, beside a disk that is not. */
function mayHoldConfiguration(disk: Disk, all: readonly Disk[]): boolean {
  return (
    (disk.readOnly && all.some(({ readOnly }) => !readOnly)) ||
    (disk.virtualBytes <= CONFIG_DRIVE_BYTES &&
      all.some(({ virtualBytes }) => virtualBytes > 2 * disk.virtualBytes))
  );
}

function goesByMark({ HVM_boot_policy, PV_bootloader }: BootSettings): boolean {
  return HVM_boot_policy === '' && PV_bootloader !== '';
}

function bootsFromNoDisk(vm: BootSettings): boolean {
  // xapi takes its own default, which has one, for an empty order (hvm_default_boot_order).
  return vm.HVM_boot_policy !== '' && orderOf(vm) !== '' && !orderOf(vm).includes('c');
}

function orderOf({ HVM_boot_params }: BootSettings): string {
  return HVM_boot_params.order ?? '';
}

/** The error that it is not clear which disk a VM boots from, with the disks to choose from. */
export function rootDiskAmbiguous(vmName: string, disks: readonly Disk[], doubt: string): XensnapError {
  return new XensnapError(
    'RootDiskAmbiguous',
    `It is not clear from which of its ${disks.length} disks the VM "${vmName}" boots: ${doubt}. Say it with "device" (--device on the command line): ${choices(disks)}.`,
    { details: { candidates: candidates(disks) } },
  );
}

/** The error that the VM has no disk at a position, with the disks that it has. */
export function noDiskAt(vmName: string, disks: readonly Disk[], device: string): XensnapError {
  return new XensnapError(
    'BadRequest',
    `device: the VM "${vmName}" has no disk at ${device}; it has ${choices(disks)}.`,
    { details: { candidates: candidates(disks) } },
  );
}

function choices(disks: readonly Disk[]): string {
  return byPosition(disks).map(diskText).join(', ');
}

function candidates(disks: readonly Disk[]) {
  return byPosition(disks).map(({ device, name, virtualBytes, sr = null, bootable }) => ({
    device,
    name,
    sizeBytes: virtualBytes,
    sr,
    bootable,
  }));
}
