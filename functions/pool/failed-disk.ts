import type { XapiError } from '../../xapi/errors.ts';
import type { Session } from '../../xapi/session.ts';
import type { Ref } from '../../xapi/types.ts';
import { type ErrorName, XensnapError } from '../errors.ts';
import { isStorageFull } from '../translate.ts';
import { byPosition, type Disk, diskText } from './disk.ts';
import { formatOf } from './inspect.ts';
import { type AttachedDisk, disksOfVm, withSrNames } from './vm-disks.ts';

/** What a code says of a disk, under which name it ends the job, and what mends it. */
interface Reason {
  readonly name: ErrorName;
  readonly why: string;
  readonly remedy: string;
}

const NOT_THERE: Reason = {
  name: 'StorageUnsupported',
  why: 'its SR makes no snapshots',
  remedy: 'Move it to another SR',
};
const RAW: Reason = {
  name: 'DiskFormatUnsupported',
  why: 'it is raw, of which SM makes no snapshots',
  remedy: 'Move it to an SR that keeps VHDs',
};
const FULL: Reason = {
  name: 'StorageFull',
  why: 'its storage repository is full',
  remedy: 'Free some space',
};
const OTHER: Reason = {
  name: 'SnapshotFailed',
  why: 'the pool does not allow it',
  remedy: 'Look at the disk in the pool',
};

/** By xapi's code (api_errors.ml); SR_BACKEND_FAILURE_… by SM's number (XE_SR_ERRORCODES.xml). */
const REASONS: Readonly<Record<string, Reason>> = {
  SR_OPERATION_NOT_SUPPORTED: NOT_THERE,
  UNIMPLEMENTED_IN_SM_BACKEND: NOT_THERE,
  SR_BACKEND_FAILURE_38: NOT_THERE,
};

function reasonOf(error: XapiError): Reason | undefined {
  return isStorageFull(error) ? FULL : REASONS[error.code];
}

/**
 * The failure of a snapshot as the failure of the disk that it is about: by position, name, size and SR, where xapi
 * says no more than a reference or, of a full SR, nothing. Undefined where no disk can be told from the others.
 * @param device of the disk that is imaged
 */
export async function failureOfDisk(
  xapi: Session,
  vmRef: Ref<'VM'>,
  error: XapiError,
  device: string | undefined,
): Promise<XensnapError | undefined> {
  try {
    const concerned = concernedBy(error, await disksOfVm(xapi, vmRef));
    if (concerned.length === 0) return undefined;
    const reason = reasonOf(error) ?? OTHER;
    const disks = byPosition(await withSrNames(xapi, concerned));
    return told(disks, reason === NOT_THERE && concerned.every(isRaw) ? RAW : reason, error, device);
  } catch {
    // The pool has other worries: then the failure is told as it came.
    return undefined;
  }
}

/** The disks that the error names, by themselves or by their SR; where it names none, those that its code fits. */
function concernedBy(error: XapiError, attached: readonly AttachedDisk[]): readonly AttachedDisk[] {
  const { params } = error;
  const named = attached.filter(({ disk }) => params.includes(disk.vdiRef));
  if (named.length > 0) return named;
  const onSr = attached.filter(({ vdi }) => params.includes(vdi.SR));
  const reason = reasonOf(error);
  if (reason === FULL && onSr.length === 0) return attached;
  const raw = (onSr.length > 0 ? onSr : attached).filter(isRaw);
  return reason === NOT_THERE && raw.length > 0 ? raw : onSr;
}

function isRaw({ vdi }: AttachedDisk): boolean {
  return formatOf(vdi) === 'raw';
}

/** The code with what it says in words. */
function saidOf({ code, params }: XapiError): string {
  return [code, ...params.filter((param) => param !== '' && !param.startsWith('OpaqueRef:'))].join(', ');
}

function told(
  disks: readonly Disk[],
  { name, why, remedy }: Reason,
  error: XapiError,
  device: string | undefined,
): XensnapError {
  const which = disks.length === 1 ? 'The disk at' : 'One of the disks';
  const isOther = disks.every((disk) => disk.device !== device);
  const detach = isOther
    ? ', or detach it until the image is made: quiesced snapshots, and all on releases before 2021, take every disk of the VM'
    : '';
  return new XensnapError(
    name,
    `${which} ${disks.map(diskText).join(', ')} can't be snapshotted: ${why} (${saidOf(error)}). ${remedy}${detach}.`,
    { cause: error },
  );
}
