import type { Session } from '../../xapi/session.ts';
import { entriesOf, intOf, type Ref, type SrRecord } from '../../xapi/types.ts';
import { XensnapError } from '../errors.ts';
import type { RestorableImage } from '../restorable-image.ts';
import { choicesText } from './choices.ts';

/** An SR with its record. */
export interface ChosenSr {
  readonly ref: Ref<'SR'>;
  readonly record: SrRecord;
}

/** Which SR a disk is to go to. */
export interface SrWish {
  /** By UUID or name, where one was asked for. */
  readonly asked?: string | undefined;
  /** UUID of the one that the disk was on, if that is known. */
  readonly before?: string | undefined;
  /** UUIDs of those that the caller's project may use; all if absent. */
  readonly allowed?: readonly string[] | undefined;
}

/**
 * The SR for a disk: the one asked for, else the one that the disk was on if it is still there, else the pool's default.
 * @throws BadRequest where it has to be named, or named otherwise; StorageUnsupported
 */
export async function chooseSr(xapi: Session, { asked, before, allowed }: SrWish): Promise<ChosenSr> {
  const all = entriesOf(await xapi.call('SR.get_all_records_where', 'true')).map(([ref, record]) => ({
    ref,
    record,
  }));
  const usable = all.filter(({ record }) => allowed?.includes(record.uuid) ?? true);
  if (asked !== undefined) {
    const found = usable.filter(({ record }) => record.uuid === asked || record.name_label === asked);
    const [one, ...others] = found;
    if (!one) {
      const fit = usable.flatMap(({ record }) => (holdsDisks(record) ? record.name_label : []));
      throw new XensnapError(
        'BadRequest',
        `sr: the pool has no SR "${asked}" that you may use; ${choicesText(fit)}.`,
      );
    }
    if (others.length > 0)
      throw new XensnapError(
        'BadRequest',
        `sr: ${found.length} SRs are named "${asked}". Name one by its UUID: ${found.map(({ record }) => record.uuid).join(', ')}.`,
      );
    if (holdsDisks(one.record)) return one;
    throw new XensnapError(
      'StorageUnsupported',
      `The SR "${one.record.name_label}" is of type ${one.record.type}, on which no disks are made.`,
    );
  }
  const fit = usable.filter(({ record }) => holdsDisks(record));
  const earlier = fit.find(({ record }) => record.uuid === before);
  if (earlier) return earlier;
  const [pool] = Object.values(await xapi.call('pool.get_all_records'));
  const found = fit.find(({ ref }) => ref === pool?.default_SR) ?? (allowed && fit[0]);
  if (found) return found;
  throw new XensnapError(
    'BadRequest',
    'sr: the pool has no default SR for disks that you may use. Name one.',
  );
}

/** Its operations follow from its driver's capabilities, but for a while lack those that something under way excludes. */
function holdsDisks({ allowed_operations, current_operations, content_type, type }: SrRecord): boolean {
  if (content_type === 'iso' || type === 'iso' || type === 'udev') return false;
  return allowed_operations.includes('vdi_create') || Object.keys(current_operations).length > 0;
}

/** Types whose disks are files, or volumes that begin as an empty VHD: what is new reads as zeros. */
const OF_ZEROS: readonly string[] = [
  'cephfs',
  'ext',
  'ext4',
  'file',
  'glusterfs',
  'largeblock',
  'moosefs',
  'nfs',
  'smb',
  'xfs',
  'zfs',
];

/** Whether a new disk of the SR reads as zeros; of a type that is not known, nobody says so. */
export function readsAsZeros({ type, sm_config }: SrRecord): boolean {
  return OF_ZEROS.includes(type) || (isLvm(type) && sm_config.use_vhd === 'true');
}

function isLvm(type: string): boolean {
  return type.startsWith('lvm');
}

/**
 * Refuses an SR that has not the room: for the whole disk where it is thick, and else for what the image's data takes at
 * least. What a full SR refuses later is told then.
 * @throws StorageFull
 */
export function refuseWithoutRoom(
  sr: SrRecord,
  { format, sizeBytes, virtualBytes }: Pick<RestorableImage, 'format' | 'sizeBytes' | 'virtualBytes'>,
): void {
  const free = freeBytes(sr);
  if (free === undefined) return;
  const isThick = isLvm(sr.type) && sr.sm_config.allocation !== 'xlvhd';
  // A raw image holds its zeros, too: how much of it is data shows only as it comes.
  const needed = isThick ? virtualBytes : format === 'raw' ? 0 : Math.min(sizeBytes, virtualBytes);
  if (free >= needed) return;
  throw new XensnapError(
    'StorageFull',
    `The SR "${sr.name_label}" has ${gib(free)} GiB left, and the disk needs ${gib(needed)} GiB. Free some space, or name another SR.`,
  );
}

/** Not every driver says how large its SR is. */
function freeBytes(sr: SrRecord): number | undefined {
  const bytes = intOf(sr.physical_size, -1);
  return bytes > 0 ? bytes - intOf(sr.physical_utilisation, -1) : undefined;
}

/** Less than that is no room for a disk: the next block of a VHD, its bitmap, and what the file system keeps back. */
const ALMOST_NOTHING_BYTES = 32 * 2 ** 20;

/** Whether an SR has no room for more of a disk, as far as it says. */
export function isAlmostFull(sr: SrRecord): boolean {
  const free = freeBytes(sr);
  return free !== undefined && free < ALMOST_NOTHING_BYTES;
}

function gib(bytes: number): string {
  return (Math.max(0, bytes) / 2 ** 30).toFixed(1);
}
