import * as z from 'zod';
import { isCode } from '../../xapi/errors.ts';
import type { Session } from '../../xapi/session.ts';
import type { Ref, StringMap, VmRecord } from '../../xapi/types.ts';
import type { Config } from '../config.ts';
import type { SnapshotJob } from '../job.ts';
import { tagsIn } from './tags.ts';

/** The key of the guest's xenstore that locks its snapshots; see docs/adr. */
const LOCK_KEY = 'vm-data/allowvssprovider';

/** How long others leave a VM open whose snapshot is not made yet. A job that died must not keep it open longer. */
const OTHERS_WAIT_SECONDS = 900;

/** What a job that opens a VM writes there, for other installations: they can't see its record. */
const Opening = z.object({
  installation: z.string().max(256),
  /** The lock's value before anybody opened the VM; null for no key. */
  before: z.string().max(256).nullable(),
  /** Until then, while the job's tag is there, the VM is left open. */
  until: z.iso.datetime(),
});

/** A job's note on a VM that it has opened the lock and has not closed it yet. */
export interface Opening extends z.infer<typeof Opening> {
  readonly jobId: string;
}

const keyOf = (jobId: string) => `xensnap:${jobId}:lock`;
const KEY = /^xensnap:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):lock$/;

/** Every opening noted in a VM's `other_config`; a note that does not parse is ignored. */
export function openingsIn(otherConfig: StringMap): readonly Opening[] {
  return Object.entries(otherConfig).flatMap(([key, value]) => {
    const jobId = KEY.exec(key)?.[1];
    const opening = jobId === undefined ? undefined : parse(value);
    return opening && jobId !== undefined ? [{ jobId, ...opening }] : [];
  });
}

function parse(value: string): z.infer<typeof Opening> | undefined {
  try {
    return Opening.parse(JSON.parse(value));
  } catch {
    return undefined;
  }
}

/**
 * The lock's value before anybody opened the VM; null for no key. A key that is there is the truth; where there is
 * none, another installation's job may have taken it out, and then its opening says what it was.
 */
export function lockBefore({ xenstore_data, other_config }: VmRecord): string | null {
  return (
    xenstore_data[LOCK_KEY] ?? openingsIn(other_config).find(({ before }) => before !== null)?.before ?? null
  );
}

/**
 * Whether a guest may lose its live key to an opening: a running one at once, a halted or suspended one if it starts in
 * the meantime. A paused guest keeps what it has.
 */
export function mayLoseLiveKey({ power_state }: VmRecord): boolean {
  return power_state !== 'Paused';
}

/** Says on the VM that a job opens it: before its tag, and before the lock's key goes. */
export async function noteOpening(
  xapi: Session,
  vmRef: Ref<'VM'>,
  opening: { jobId: string; installation: string; before: string | null; now: Date },
): Promise<void> {
  const { jobId, installation, before, now } = opening;
  const until = new Date(now.getTime() + OTHERS_WAIT_SECONDS * 1000).toISOString();
  const add = () =>
    xapi.call('VM.add_to_other_config', vmRef, keyOf(jobId), JSON.stringify({ installation, before, until }));
  try {
    await add();
  } catch (error) {
    // An earlier try of the same step has left it, with a time that may have passed.
    if (!isCode(error, 'MAP_DUPLICATE_KEY')) throw error;
    await forgetOpening(xapi, vmRef, jobId);
    await add();
  }
}

/** Takes a job's opening off the VM: once it is closed again. */
export function forgetOpening(xapi: Session, vmRef: Ref<'VM'>, jobId: string): Promise<unknown> {
  return xapi.call('VM.remove_from_other_config', vmRef, keyOf(jobId));
}

/**
 * Takes the lock's key out of the VM's xenstore data. VM.set_xenstore_data alone reaches a running guest; it replaces
 * the whole map, hence the read before it.
 */
export async function openLock(xapi: Session, vmRef: Ref<'VM'>): Promise<void> {
  const { [LOCK_KEY]: lock, ...rest } = await xapi.call('VM.get_xenstore_data', vmRef);
  if (lock !== undefined) await xapi.call('VM.set_xenstore_data', vmRef, rest);
}

/** What a job's record says of the lock; of a job that has no record any more, the id alone. */
export type LockingJob = Pick<SnapshotJob, 'id' | 'lockBefore'>;

/**
 * The key's value once jobs have closed the VM; null: no key. Under `restore` that is what it was before them, by their
 * records or by what they noted on the VM. But a key that is there was put there since, and where nobody knows what was
 * before, the VM stays as it is.
 */
function lockAfter(
  { xenstore_data, other_config }: VmRecord,
  jobs: readonly LockingJob[],
  { relock }: Pick<Config, 'relock'>,
): string | null {
  if (relock === 'lock') return 'false';
  const onRecord = jobs.find((job) => job.lockBefore !== undefined)?.lockBefore;
  const noted = openingsIn(other_config).find(({ jobId }) => jobs.some(({ id }) => id === jobId))?.before;
  return xenstore_data[LOCK_KEY] ?? (onRecord === undefined ? noted : onRecord) ?? null;
}

/** Whether the VM is as the jobs are to leave it, by the database, from which it starts: a guest may still run open. */
export function isClosedInDatabase(
  record: VmRecord,
  jobs: readonly LockingJob[],
  config: Pick<Config, 'relock'>,
): boolean {
  return (record.xenstore_data[LOCK_KEY] ?? null) === lockAfter(record, jobs, config);
}

/** How closing a VM went. `others`: another installation's snapshot of it is under way, and wants it open. */
export type Closed = 'closed' | 'others' | 'paused';

/**
 * Puts the lock's key back, or what was there before, unless another installation is about to make a snapshot of the
 * VM. That is looked for again after: one that began in the meantime gets the VM open again.
 * @param options.liveKey what a paused guest, which xapi can't reach, has itself; undefined where that is not known
 */
export async function closeLock(
  xapi: Session,
  { ref, record }: { readonly ref: Ref<'VM'>; readonly record: VmRecord },
  jobs: readonly LockingJob[],
  {
    config,
    now,
    liveKey,
  }: {
    readonly config: Pick<Config, 'relock' | 'installation'>;
    readonly now: Date;
    readonly liveKey?: string | null | undefined;
  },
): Promise<Closed> {
  const others = (otherConfig: StringMap) => othersAtWork(otherConfig, config.installation, now);
  if (others(record.other_config)) return 'others';
  const wanted = lockAfter(record, jobs, config);
  const { [LOCK_KEY]: _lock, ...open } = record.xenstore_data;
  await xapi.call('VM.set_xenstore_data', ref, wanted === null ? open : { ...open, [LOCK_KEY]: wanted });
  // xapi passes the map on to a running guest; a halted or suspended one gets it when it starts.
  if (record.power_state === 'Paused' && liveKey !== wanted) return 'paused';
  if (wanted === null || !others(await xapi.call('VM.get_other_config', ref))) return 'closed';
  await xapi.call('VM.set_xenstore_data', ref, open);
  return 'others';
}

/** Whether a job of another installation has opened the VM and not made its snapshot yet. */
function othersAtWork(otherConfig: StringMap, installation: string, now: Date): boolean {
  const tagged = new Set(tagsIn(otherConfig).map(({ jobId }) => jobId));
  return openingsIn(otherConfig).some(
    (opening) =>
      opening.installation !== installation && tagged.has(opening.jobId) && opening.until > now.toISOString(),
  );
}
