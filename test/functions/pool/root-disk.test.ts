import { expect, it } from 'vitest';
import type { Disk } from '../../../functions/pool/disk.ts';
import { noDiskAt, rootDiskAmbiguous, rootDiskOf } from '../../../functions/pool/root-disk.ts';
import type { Ref } from '../../../xapi/types.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;

interface Made {
  readonly mib?: number;
  readonly bootable?: boolean;
  readonly readOnly?: boolean;
}

/** Disks of 20 GiB by their positions, but for what is given of each. */
function disksAt(made: Readonly<Record<string, Made>>): Disk[] {
  return Object.entries(made).map(([device, { mib = 20_480, bootable = false, readOnly = false }]) => ({
    ...{ vdiRef: `OpaqueRef:${device}` as Ref<'VDI'>, device, name: `disk ${device}` },
    ...{ virtualBytes: mib * MIB, bootable, readOnly },
  }));
}

const hvm = { HVM_boot_policy: 'BIOS order', HVM_boot_params: { order: 'cd' }, PV_bootloader: '' };
const uefi = { ...hvm, HVM_boot_params: { firmware: 'uefi', order: 'cdn' } };
const unordered = { ...hvm, HVM_boot_params: {} };
const netboot = { ...hvm, HVM_boot_params: { order: 'nd' } };
const pygrub = { HVM_boot_policy: '', HVM_boot_params: {}, PV_bootloader: 'pygrub' };
const ownKernel = { HVM_boot_policy: '', HVM_boot_params: {}, PV_bootloader: '' };

const yes = { bootable: true };
const drive = { mib: 10 };

it.each<[string, typeof hvm | typeof unordered, Record<string, Made>, string]>([
  ['one disk alone', hvm, { 0: yes }, '0'],
  ['one disk alone that is not marked, further back', hvm, { 4: {} }, '4'],
  [
    'one disk alone that is small, read-only and booted from the network',
    netboot,
    { 1: { mib: 1, readOnly: true } },
    '1',
  ],
  ['the first of two, marked', hvm, { 0: yes, 1: {} }, '0'],
  ['the first of two, none marked, as after an installation from a CD', hvm, { 0: {}, 1: {} }, '0'],
  ['the first of two, none marked, without a boot order', unordered, { 0: {}, 1: {} }, '0'],
  ['the first by number, not as text', hvm, { 10: {}, 9: {} }, '9'],
  ['the first by the name that a guest has for it', hvm, { xvdb: {}, xvda: {} }, 'xvda'],
  ['the second of two, marked, behind a configuration drive', hvm, { 0: drive, 1: yes }, '1'],
  ['the same with UEFI', uefi, { 0: drive, 1: yes }, '1'],
  ['the same with the largest drive that Nova makes', hvm, { 0: { mib: 64 }, 1: yes }, '1'],
  ['the marked one behind a read-only disk', hvm, { 0: { readOnly: true }, 1: yes }, '1'],
  ['the marked one behind two drives', hvm, { 0: drive, 1: { readOnly: true }, 2: yes, 3: {} }, '2'],
  ['the marked one, booted from the network', netboot, { 0: yes, 1: {} }, '0'],
  ['the one that a PV bootloader reads, wherever it is', pygrub, { 0: {}, 1: yes }, '1'],
  ['the first for a kernel from outside', ownKernel, { 0: {}, 1: {} }, '0'],
  [
    'the first of disks that are all small',
    hvm,
    { 0: { ...yes, mib: 2 }, 1: { mib: 2 }, 2: { mib: 4 } },
    '0',
  ],
  ['the first of disks that are all read-only', hvm, { 0: { readOnly: true }, 1: { readOnly: true } }, '0'],
])('finds %s', (_, vm, made, device) => {
  const disks = disksAt(made);
  expect(rootDiskOf(vm, disks)).toBe(disks.find((disk) => disk.device === device));
  expect(rootDiskOf(vm, disks.toReversed())).toBe(disks.find((disk) => disk.device === device));
});

it.each<[string, typeof hvm, Record<string, Made>, RegExp]>([
  ['two are marked', hvm, { 0: yes, 1: yes }, /2 are marked bootable/],
  ['two are marked for a PV bootloader', pygrub as unknown as typeof hvm, { 0: yes, 1: yes }, /2 are marked/],
  ['a drive comes first and none is marked', hvm, { 0: drive, 1: {} }, /at 0 comes first, but looks like/],
  [
    'a read-only one comes first and none is marked',
    hvm,
    { 0: { readOnly: true }, 1: {} },
    /at 0 comes first/,
  ],
  [
    'the marked one is a drive',
    hvm,
    { 0: { ...yes, ...drive }, 1: {} },
    /at 0 is marked bootable, but looks/,
  ],
  [
    'the marked one is behind one that firmware takes first',
    hvm,
    { 0: {}, 1: yes },
    /at 0 comes first, but the one at 1 is/,
  ],
  ['the same with UEFI', uefi as unknown as typeof hvm, { 0: {}, 1: yes }, /at 0 comes first/],
  ['none is marked and the network is booted', netboot, { 0: {}, 1: {} }, /boot order "nd" has no hard disk/],
])('is in doubt where %s', (_, vm, made, doubt) => {
  expect(rootDiskOf(vm, disksAt(made))).toEqual({ doubt: expect.stringMatching(doubt) });
});

it('names in its refusals the disks that there are, in their order', () => {
  const disks = disksAt({ 1: yes, 0: drive }).map((disk) => ({ ...disk, sr: 'fast' }));
  const text = '0 ("disk 0", 10.0 MiB on "fast"), 1 ("disk 1", 20.0 GiB on "fast", bootable).';
  const candidates = [
    { device: '0', name: 'disk 0', sizeBytes: 10 * MIB, sr: 'fast', bootable: false },
    { device: '1', name: 'disk 1', sizeBytes: 20 * GIB, sr: 'fast', bootable: true },
  ];
  for (const error of [rootDiskAmbiguous('web-1', disks, 'why'), noDiskAt('web-1', disks, '7')]) {
    expect(error.message).toContain(text);
    expect(error.message).toContain('"web-1"');
    expect(error.details).toEqual({ candidates });
  }
});
