import { isCode, type XapiError } from '../../xapi/errors.ts';
import type { Session } from '../../xapi/session.ts';
import type { Ref } from '../../xapi/types.ts';
import { XensnapError } from '../errors.ts';

/** The answer that an object was looked for and is not there. */
export const GONE = Symbol('gone');

/** The call that looks an object of a class up by its UUID. */
const BY_UUID = {
  VM: 'VM.get_by_uuid',
  VDI: 'VDI.get_by_uuid',
  host: 'host.get_by_uuid',
  secret: 'secret.get_by_uuid',
} as const;

type Identified = keyof typeof BY_UUID;

/** An object by its reference, which is only a handle, and by its UUID, which is what it is. */
export interface Identity<C extends Identified> {
  readonly class: C;
  readonly ref: Ref<C>;
  readonly uuid: string;
}

/**
 * Looks an object up by its UUID; undefined when there is none. Only xapi's UUID_INVALID of that very class and UUID
 * says so (db_exn.ml: Read_missing_uuid); every other refusal is thrown, for it proves nothing.
 */
export async function byUuid<C extends Identified>(
  xapi: Session,
  ofClass: C,
  uuid: string,
): Promise<Ref<C> | undefined> {
  try {
    return (await xapi.call<(typeof BY_UUID)[Identified]>(BY_UUID[ofClass], uuid)) as Ref<C>;
  } catch (error) {
    if (isCode(error, 'UUID_INVALID') && error.params[0] === ofClass && error.params[1] === uuid)
      return undefined;
    throw error;
  }
}

/**
 * Does something with an object. A HANDLE_INVALID proves nothing about it, for it may name anything that the call
 * touches: the object is looked up by its UUID then, and where it is there, `use` runs once more with the reference
 * found. So `use` must bear to be begun twice.
 * @throws XapiBusy when the pool says that the object is there, and still finds a handle invalid
 */
export async function unlessGone<C extends Identified, T>(
  xapi: Session,
  { class: ofClass, ref, uuid }: Identity<C>,
  use: (ref: Ref<C>) => Promise<T>,
): Promise<T | typeof GONE> {
  const first = await tried(use(ref));
  if ('value' in first) return first.value;
  const found = await byUuid(xapi, ofClass, uuid);
  if (found === undefined) return GONE;
  const second = await tried(use(found));
  if ('value' in second) return second.value;
  throw contradiction(`${ofClass} ${uuid}`, second.refusal);
}

/**
 * The same for an object of which only the reference is known: the call is made again, and only if that very object is
 * named in the second answer too is there no such reference any more. The object may still be there under another.
 * @throws XapiBusy when the second answer names something else
 */
export async function unlessUnknown<T>(
  ofClass: 'VM' | 'VBD' | 'VDI' | 'task' | 'secret' | 'host_metrics',
  ref: string,
  call: () => Promise<T>,
): Promise<T | typeof GONE> {
  const first = await tried(call());
  if ('value' in first) return first.value;
  const second = await tried(call());
  if ('value' in second) return second.value;
  const [refusedClass, refusedRef] = second.refusal.params;
  if (refusedClass === ofClass && refusedRef === ref) return GONE;
  throw contradiction(`a ${ofClass}`, second.refusal);
}

/**
 * Why a call about a job's VM was refused: where its handle was, the VM is looked up by its UUID. A failure of that look
 * is thrown.
 * @returns VmGone when it is not there, else the error as it came
 */
export async function unlessVmGone(
  xapi: Session,
  { vmUuid, vmName }: { readonly vmUuid: string; readonly vmName: string },
  error: unknown,
): Promise<unknown> {
  if (!isCode(error, 'HANDLE_INVALID') || error.params[0] !== 'VM') return error;
  if ((await byUuid(xapi, 'VM', vmUuid)) !== undefined) return error;
  return new XensnapError('VmGone', `The VM "${vmName}" is no longer there.`, { cause: error });
}

/** What a call gave, or that it was refused for a handle; whatever else it failed with is thrown. */
async function tried<T>(call: Promise<T>): Promise<{ readonly value: T } | { readonly refusal: XapiError }> {
  try {
    return { value: await call };
  } catch (error) {
    if (isCode(error, 'HANDLE_INVALID')) return { refusal: error };
    throw error;
  }
}

function contradiction(what: string, cause: Error): XensnapError {
  return new XensnapError(
    'XapiBusy',
    `The pool can't find something that belongs to ${what} (${cause.message}), which does not prove that it is gone.`,
    { cause },
  );
}
