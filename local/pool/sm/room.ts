import { BLOCK_BYTES } from '../../vhd/format.ts';
import type { PoolState, Storage } from '../state.ts';
import { SR_TYPES } from './types.ts';

const KIB = 1024;
const MIB = KIB * KIB;
/** Logical volumes are made of these. */
export const EXTENT_BYTES = 4 * MIB;
/** The disk for whose size sm leaves room in every VHD on LVM (lvhdutil.py, MSIZE_MB). */
const LARGEST_ON_LVM = 2 * MIB * MIB;

export function roundUp(bytes: number, unit: number): number {
  return Math.ceil(bytes / unit) * unit;
}

/** What an empty VHD of the size is taken to need (vhdutil.py, calcOverheadEmpty). */
export function emptyVhdBytes(virtualBytes: number): number {
  const blocks = Math.ceil(virtualBytes / BLOCK_BYTES);
  return roundUp(3 * KIB + 4 * blocks + blocks / 8, 4 * KIB);
}

/** The logical volume under a whole VHD (lvhdutil.py, calcSizeVHDLV). */
export function vhdVolumeBytes(virtualBytes: number): number {
  const bitmaps = Math.ceil(virtualBytes / BLOCK_BYTES) * 4 * KIB;
  return roundUp(virtualBytes + emptyVhdBytes(LARGEST_ON_LVM) + bitmaps, EXTENT_BYTES);
}

/** Whether an SR gives a new disk all of its room at once: the LVM family, where nobody has asked for thin volumes. */
export function isThick({ type }: Storage): boolean {
  return !SR_TYPES[type].isFiles;
}

/**
 * Writes down how full the SR is, as sm tells xapi when a disk comes or goes and at a scan, and not before. Where the pool
 * was not told what is free, all is but what its disks take.
 */
export async function noteRoom(pool: PoolState, storage: Storage): Promise<void> {
  const { db } = pool;
  const vdis = db.referrers('VDI', 'SR', storage.ref);
  const sum = (field: string): number =>
    vdis.reduce((bytes, vdi) => bytes + Number(db.text('VDI', vdi, field)), 0);
  const size = Number(db.text('SR', storage.ref, 'physical_size'));
  const isTold = storage.freeBytes !== Number.POSITIVE_INFINITY;
  const used = isTold ? size - storage.freeBytes : sum('physical_utilisation');
  db.update('SR', storage.ref, {
    physical_utilisation: String(Math.max(0, Math.round(used))),
    virtual_allocation: String(sum('virtual_size')),
  });
}

/** Takes room away, or gives it back. */
export function takeRoom(storage: Storage, bytes: number): void {
  storage.freeBytes = Math.max(0, storage.freeBytes - bytes);
}
