import { intOf, type Ref, type VbdRecord, type VdiRecord } from '../../xapi/types.ts';

/** A disk of a VM. */
export interface Disk {
  readonly vdiRef: Ref<'VDI'>;
  /** Its position as xapi has it in `userdevice`: `0`, `1`, … */
  readonly device: string;
  readonly name: string;
  readonly virtualBytes: number;
  readonly bootable: boolean;
  readonly readOnly: boolean;
  /** Name of the SR that it is on, where it was looked up. */
  readonly sr?: string;
}

export function diskOf(vbd: VbdRecord, vdi: VdiRecord): Disk {
  return {
    vdiRef: vbd.VDI,
    device: vbd.userdevice,
    name: vdi.name_label,
    virtualBytes: intOf(vdi.virtual_size),
    bootable: vbd.bootable,
    readOnly: vbd.mode === 'RO',
  };
}

/** The disks in the order of their positions. */
export function byPosition(disks: readonly Disk[]): Disk[] {
  return disks.toSorted((a, b) => positionOf(a.device) - positionOf(b.device));
}

/** A `userdevice` as a number to sort by: xapi takes the guest's names of disks there, too (device_number.ml). */
export function positionOf(userdevice: string): number {
  if (/^\d+$/.test(userdevice)) return Number(userdevice);
  const letters = /^(?:xvd|hd|sd)([a-z]{1,2})$/.exec(userdevice)?.[1];
  if (letters === undefined) return Number.MAX_SAFE_INTEGER;
  // xvda is 0, xvdz 25, xvdaa 26.
  return [...letters].reduce((position, letter) => position * 26 + letter.charCodeAt(0) - 96, 0) - 1;
}

/** For an operator: the position, and name, size, SR and mark in brackets. */
export function diskText({ device, name, virtualBytes, sr, bootable }: Disk): string {
  const [size, unit] =
    virtualBytes < 2 ** 30 ? [virtualBytes / 2 ** 20, 'MiB'] : [virtualBytes / 2 ** 30, 'GiB'];
  const place = sr === undefined ? '' : ` on "${sr}"`;
  return `${device} ("${name}", ${size.toFixed(1)} ${unit}${place}${bootable ? ', bootable' : ''})`;
}
