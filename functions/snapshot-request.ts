import type { VmRecord } from '../xapi/types.ts';
import { XensnapError } from './errors.ts';
import { refuseUnfit } from './glance-text.ts';
import { refuseReservedMetadata } from './image-properties.ts';
import type { Backup, ScheduledRun } from './job.ts';
import type { ImageFormat, Quiesce } from './words.ts';

/** A wish for an image of a VM, from whichever API or schedule it came. */
export interface SnapshotRequest {
  /** UUID or name. */
  readonly vm: string;
  /** Needed only where several pools have a VM of that name. */
  readonly pool?: string;
  /** Name of the image; `<VM's name>-<time>` if absent. What Glance does not take of it is replaced, with a warning. */
  readonly name?: string;
  readonly quiesce?: Quiesce;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly maxSizeGib?: number;
  readonly detached?: boolean;
  /** Does not wait for the coalescer. */
  readonly force?: boolean;
  /** `vhd` if absent. */
  readonly format?: ImageFormat;
  /** Position of the disk to be imaged; the one that the VM boots from if absent. */
  readonly device?: string;
  /** One VHD, flattened by xapi, also where there is a chain of files to read. */
  readonly flatten?: boolean;
  /** Makes the image a backup, which replaces older ones. */
  readonly backup?: Backup;
  /** Present if a schedule asks: from when until when the job may begin. It waits for a busy VM. */
  readonly scheduled?: ScheduledRun & { readonly startAfter: Date; readonly startBefore: Date };
  /** The new job's id, where somebody has put it on record before; the same id makes the same job. */
  readonly jobId?: string;
  /** The caller's project: the job and the image are its. */
  readonly project?: string;
  /** Who asks, for people and for the log. */
  readonly actor?: string;
  /** The VMs that the caller may touch; all if absent. */
  readonly allows?: (vm: VmRecord) => boolean;
  /** Present if the request must not act twice. */
  readonly idempotency?: Idempotency;
}

/** A request that comes again with the same key is answered with the same job, if it asks for the same. */
export interface Idempotency {
  /** A digest of who asks and of the key that was sent: two callers never share one. */
  readonly key: string;
  /** A digest of everything that was asked for. */
  readonly request: string;
}

/** Refuses what no VM could make right. @throws BadRequest, MetadataReserved */
export function refuseUnusable({ metadata = {}, backup, format, flatten }: SnapshotRequest): void {
  refuseReservedMetadata(metadata);
  refuseFlatRaw(format, flatten);
  // Two types must not become one on their way: each rotates by itself.
  if (backup) refuseUnfit('backup.type', backup.type);
}

/** @throws BadRequest where a raw image is to be flattened */
export function refuseFlatRaw(format: ImageFormat | undefined, flatten: boolean | undefined): void {
  if (flatten && format === 'raw')
    throw new XensnapError('BadRequest', 'flatten: a raw image is flat already; leave it out.');
}
