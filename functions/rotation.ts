import type { Glance } from '../glance/client.ts';
import type { Image } from '../glance/image.ts';
import type { SnapshotJob } from './job.ts';
import { sentence } from './sentence.ts';
import type { VerifiedBackup } from './store/backups.ts';
import { differenceOf } from './verified-image.ts';
import { readVmConfig, VM_CONFIG_PROPERTY } from './vm-config.ts';

/** The backups that replace each other: of one disk of a VM, one type, one installation and one project. */
export interface BackupSet {
  readonly installation: string;
  readonly pool: string;
  readonly vmUuid: string;
  readonly type: string;
  /**
   * Position of the disk: two disks of a VM may be backed up with one type. Absent where it is not known which one is
   * meant. An image that does not say of which disk it is counts for any, as it did before images said so.
   */
  readonly device?: string;
  /** The project whose backups these are; absent where the API is not for projects. */
  readonly project?: string;
  /**
   * Whose the images are in Glance. Properties are for everybody to write on images of his own: without this, a
   * stranger's images could count as the newest backups.
   */
  readonly owner?: string | null;
  /** What is on record of the VM's backups: an image that is another by now than was verified does not count. */
  readonly verified?: readonly VerifiedBackup[];
}

/** What a rotation does with an image. */
export const ROTATION_ACTIONS = ['keep', 'delete', 'ignore'] as const;

/** What becomes of an image, and why, in words for the operator. */
export interface Verdict {
  readonly image: Image;
  readonly action: (typeof ROTATION_ACTIONS)[number];
  readonly why: string;
}

/** The set that a job's image belongs to; undefined for a snapshot, which belongs to none. */
export function backupSetOf(job: SnapshotJob, installation: string): BackupSet | undefined {
  const { backup } = job.request;
  return (
    backup && {
      installation,
      pool: job.pool,
      vmUuid: job.vmUuid,
      type: backup.type,
      ...(job.device !== undefined && { device: job.device }),
      ...(job.project !== undefined && { project: job.project }),
    }
  );
}

/**
 * Every image that says of itself that it is a backup of this type of this VM, over all pages.
 * @throws when any page fails: what was not seen whole is not judged
 */
export async function listBackups(glance: Glance, { vmUuid, type }: BackupSet): Promise<Image[]> {
  const properties = { image_type: 'backup', backup_type: type, xensnap_vm: vmUuid };
  const images: Image[] = [];
  for await (const image of glance.listImages({ properties })) images.push(image);
  return images;
}

/**
 * Judges each image of a list: of those that count, the newest `keep` stay. What does not count is never touched.
 * @param keep 0, as in Nova, leaves none; from 1 on at least one verified backup stays
 * @param newest the image that was verified just now, and is the newest whatever the clocks say
 */
export function judgeBackups(
  images: readonly Image[],
  set: BackupSet,
  keep: number,
  newest?: string,
): Verdict[] {
  // A page may be moved by an image that comes or goes meanwhile, and then repeat one.
  const unique = [...new Map(images.map((image) => [image.id, image])).values()];
  const ignored = unique.flatMap((image): Verdict[] => {
    const why = whyIgnored(image, set);
    return why === undefined ? [] : [{ image, action: 'ignore', why }];
  });
  const counting = unique
    .filter((image) => whyIgnored(image, set) === undefined)
    .sort((a, b) => Number(b.id === newest) - Number(a.id === newest) || newestFirst(a, b));
  const judged = counting.map((image, index): Verdict => {
    const place = `verified backup ${index + 1} of ${counting.length}, newest first`;
    return index < keep
      ? { image, action: 'keep', why: `${place}; ${keep} stay` }
      : { image, action: 'delete', why: `${place}; ${keep === 0 ? 'none stays' : `only ${keep} stay`}` };
  });
  return [...judged, ...ignored];
}

/** Deletes what {@link judgeBackups} says, oldest first. Answers their ids, and a sentence for each that could not be. */
export async function deleteBackups(
  glance: Glance,
  verdicts: readonly Verdict[],
): Promise<{ deleted: string[]; failures: string[] }> {
  const deleted: string[] = [];
  const failures: string[] = [];
  for (const { image } of verdicts.filter(({ action }) => action === 'delete').reverse())
    try {
      await glance.deleteImage(image.id);
      deleted.push(image.id);
    } catch (error) {
      // Its answer may be what was lost.
      if (await isGone(glance, image.id)) {
        deleted.push(image.id);
        continue;
      }
      const reason = error instanceof Error ? error.message : String(error);
      failures.push(
        `The older backup ${image.id} was not deleted: ${sentence(reason)} The next one tries again.`,
      );
    }
  return { deleted, failures };
}

/** Whether a look finds that an image is gone. One that fails has not found that. */
export async function isGone(glance: Glance, imageId: string): Promise<boolean> {
  try {
    return (await glance.getImage(imageId)) === undefined;
  } catch {
    return false;
  }
}

/** Everything about an image that could make it another's, or no good backup; undefined when it counts. */
function whyIgnored(image: Image, set: BackupSet): string | undefined {
  const { properties } = image;
  if (properties.image_type !== 'backup') return 'it is no backup';
  if (properties.xensnap_installation !== set.installation) return 'another installation made it';
  if (properties.xensnap_job !== image.id) return 'no job of this installation made it';
  if (properties.xensnap_vm !== set.vmUuid || properties.xensnap_pool !== set.pool)
    return 'it is of another VM';
  if (properties.backup_type !== set.type) return 'it is of another type';
  const device = deviceOf(image);
  if (set.device !== undefined && device !== undefined && device !== set.device)
    return `it is of the disk at ${device}`;
  if (properties.xensnap_project !== set.project) return "it is another project's";
  if (set.owner !== undefined && image.owner !== set.owner) return 'it belongs to somebody else';
  if (image.status !== 'active') return `it is ${image.status}, not active`;
  if (properties.xensnap_verified !== 'true') return 'it is not verified';
  if (image.protected) return 'it is protected';
  // Its owner may have put that on it since: Glance would delete the key as well, with our rights.
  if (properties.cinder_encryption_key_id !== undefined) return 'it names an encryption key';
  const verified = set.verified?.find(({ imageId }) => imageId === image.id);
  const difference = verified && differenceOf(image, verified, set.installation);
  if (difference !== undefined) return `it ${difference}`;
  return undefined;
}

/** Position of the disk that an image says it is of. */
export function deviceOf({ properties }: Pick<Image, 'properties'>): string | undefined {
  const text = properties[VM_CONFIG_PROPERTY];
  return text === undefined ? undefined : readVmConfig(text)?.disk.device;
}

function newestFirst(a: Image, b: Image): number {
  return verifiedAt(b) - verifiedAt(a) || (a.id < b.id ? 1 : -1);
}

/** When it was verified, in ms since 1970; of a record without that time, when it was asked for. */
function verifiedAt({ properties, createdAt }: Image): number {
  const verified = Date.parse(properties.xensnap_verified_at ?? '');
  return Number.isNaN(verified) ? Date.parse(createdAt) || 0 : verified;
}
