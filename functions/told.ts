import type { ErrorName, Reason, RunReasonName } from './errors.ts';

/** The message as it is: it speaks of what the caller asked for and of what is the caller's, and quotes nobody else. */
const AS_IT_IS = true;

const POOL =
  'The pool of the VM does not do this at the moment. Ask again, or ask the operators of this service.';
const IMAGES =
  'The image service did not do what was asked of it. Ask again, or ask the operators of this service.';
const HOST = 'The host can move no image now. Ask the operators of this service.';
const OURS = 'This service has a problem of its own. Ask again, or ask its operators.';

/**
 * What a caller who is confined to a project is told, by the error's name. The message itself is for operators: it may
 * quote a pool, Glance, Keystone or AWS, with addresses, hosts and names that are not the caller's to know. A name that
 * is not here is told as {@link OURS}, and the compiler asks for each new one.
 */
const TOLD: Readonly<Record<ErrorName | RunReasonName | 'NotImplemented', typeof AS_IT_IS | string>> = {
  BadRequest: AS_IT_IS,
  MetadataReserved: AS_IT_IS,
  VmIsTemplate: 'This is a template, not a VM.',
  VmIsSnapshot: 'This is a snapshot; name the VM that it was made of.',
  VmIsControlDomain: AS_IT_IS,
  VmHasNoDisk: 'The VM has no disk that can be imaged.',
  DiskFormatUnsupported: 'A disk of the VM has a format of which its storage makes no snapshots.',
  StorageUnsupported: 'The storage makes no snapshots, or no new disks.',
  Unauthorized: AS_IT_IS,
  Forbidden: AS_IT_IS,
  ImageNotFound: 'There is no such image.',
  ImageNotRestorable:
    'The image cannot be restored: it is not active, has another format, or does not say how large its disk is.',
  JobNotFound: AS_IT_IS,
  NotFound: AS_IT_IS,
  PoolNotFound: 'There is no such pool.',
  ScheduleNotFound: AS_IT_IS,
  VmNotFound: AS_IT_IS,
  JobCommitted: AS_IT_IS,
  JobFinished: AS_IT_IS,
  IdempotencyConflict: AS_IT_IS,
  QuotaExceeded: AS_IT_IS,
  QuiesceNotSupported:
    'The VM cannot be quiesced: it does not run, or its guest or its pool cannot. Ask with "prefer" or "never".',
  RestoreConflict: AS_IT_IS,
  RootDiskAmbiguous: AS_IT_IS,
  SnapshotInProgress: 'A job has the VM, or has ended and not tidied up after itself yet. Ask again later.',
  StorageNotAttached: 'The storage is attached to no host that can do this.',
  VmChanged: AS_IT_IS,
  VmNameAmbiguous: AS_IT_IS,
  VmNotHalted: AS_IT_IS,
  DiskTooLarge:
    'The disk is larger than maxSizeGib, or than the 2040 GiB of a VHD; for the second, ask for the format "raw".',
  DriverNotImplemented: 'This is not implemented for the pool.',
  GlanceBadRequest: IMAGES,
  GlanceCertificateMismatch: IMAGES,
  GlanceConflict: IMAGES,
  GlanceForbidden: IMAGES,
  GlanceNotFound: IMAGES,
  GlanceTooLarge: 'The image is larger than the image service takes, or a quota there is used up.',
  GlanceUnauthorized: IMAGES,
  GlanceUnavailable: IMAGES,
  HostUnreachable: HOST,
  KeystoneCertificateMismatch: IMAGES,
  KeystoneUnauthorized: IMAGES,
  KeystoneUnavailable: IMAGES,
  PluginMissing: HOST,
  PluginTooOld: HOST,
  PoolCertificateMismatch: POOL,
  PoolLoginRefused: POOL,
  PoolPermissionDenied: POOL,
  PoolUnreachable: POOL,
  SecretUnusable: OURS,
  ServiceUnavailable: OURS,
  ImageCorrupt: 'The image service has other bytes than were sent; the image was deleted.',
  ImageDamaged: 'The image is damaged, or not what the image service has on record of it.',
  ImageDeleted: 'The image was deleted while the job ran.',
  Internal: OURS,
  Interrupted: 'The job was interrupted.',
  JobCancelled: 'The job was cancelled.',
  JobClosing: AS_IT_IS,
  JobUnknown: AS_IT_IS,
  PluginFailure: HOST,
  QuiesceFailed:
    'The guest could not be quiesced. Look at its VSS provider, or ask with "prefer" or "never".',
  ShutdownFailed: 'The VM did not shut down when it was asked to. Nothing of it was changed.',
  SnapshotChainTooLong:
    "The chain of snapshots of the VM's disk is too long. Delete snapshots and try again.",
  SnapshotFailed: 'The pool could not make the snapshot.',
  SnapshotLost: 'The pool gave no answer and made no snapshot. Ask again.',
  RestoreFailed: 'The pool could not make what the image is of.',
  RestoreTestFailed: 'The VM that was restored for the test did not come up.',
  StillOwed: 'Something of the job is still to be undone.',
  StorageFull: 'The storage is full.',
  Throttled: 'This service is asked for too much at the moment. Ask again.',
  TimedOut: 'It took longer than it may.',
  UploadFailed: 'The upload of the image failed.',
  VmBusy: 'Another job had the VM for too long.',
  VmGone: 'The VM is no longer there.',
  XapiBusy: POOL,
  XapiFailure: POOL,
  XapiReplyLost: POOL,
  RunMissed: AS_IT_IS,
  NothingSelected: AS_IT_IS,
  ScheduleRemoved: AS_IT_IS,
  ScheduleDisabled: AS_IT_IS,
  NotImplemented: AS_IT_IS,
};

/** Whether callers of a project get the message of an error of this name, and its details, as they are. */
export function isForAll(name: string): boolean {
  return entryOf(name) === AS_IT_IS;
}

/** A reason as callers of a project are told it: its name, and no more of it than is theirs to know. */
export function told({ name, message }: Reason): Reason {
  const entry = entryOf(name);
  return { name, message: entry === AS_IT_IS ? message : entry };
}

function entryOf(name: string): typeof AS_IT_IS | string {
  return Object.hasOwn(TOLD, name) ? TOLD[name as keyof typeof TOLD] : OURS;
}

/** What callers of a project are told in the place of a warning that is for operators alone. */
export const WARNING_FOR_OPERATORS = 'The operators of this service have a warning about this job.';

/** What callers of a project are told of older backups that stay although they should not. */
export const NOT_ROTATED = 'Older backups were not all deleted. The next one tries again.';

/** What callers of a project are told of a debt that could not be paid. */
export const NOT_TIDIED_UP = 'Not tidied up yet; xensnap goes on trying.';
