import type { Session } from '../xapi/session.ts';
import { entriesOf, intOf, type Ref } from '../xapi/types.ts';
import { mapBounded } from './bounded.ts';
import type { Config } from './config.ts';
import { type Reason, XensnapError } from './errors.ts';
import type { IntoVm, RestoreJob } from './job.ts';
import { attachmentsOf } from './pool/control-domain.ts';
import { destroyUntilGone } from './pool/destroy.ts';
import { byUuid } from './pool/gone.ts';
import { type Kept, keptAs } from './pool/kept.ts';
import { type Asker, notNow, withRestoreAlone } from './restore-alone.ts';
import type { Runtime } from './runtime/executions.ts';
import { asJobError, isReplyLost, translateOfPool } from './translate.ts';

/** A disk that a restore has taken out of its VM, and that nobody has decided on yet. */
export interface KeptDisk extends Pick<Kept, 'jobId' | 'device' | 'since'> {
  readonly pool: string;
  readonly uuid: string;
  readonly name: string;
  readonly virtualBytes: number;
  /** UUID of the VM that it was taken out of. */
  readonly vmUuid: string;
}

/** The kept disks that were found, and why others may be missing. */
export interface KeptDisks {
  readonly disks: readonly KeptDisk[];
  readonly gaps: readonly (Reason & { readonly pool: string })[];
}

const POOLS_AT_ONCE = 8;
const MOST_SECONDS = 20;
/** Disks that are listed: an answer of some 300 KB. */
const MOST_DISKS = 1000;

/** The kept disks of every pool, the oldest first. A pool that does not answer is a gap, and leaves only its own out. */
export async function keptDisks({ config, withSession }: Runtime): Promise<KeptDisks> {
  const pools = config.pools.filter(({ driver }) => driver === 'xenapi');
  const found = await mapBounded(pools, POOLS_AT_ONCE, async ({ name: pool }): Promise<KeptDisks> => {
    try {
      const disks = await withSession(pool, (xapi) => keptIn(pool, xapi, config), { seconds: MOST_SECONDS });
      return { disks, gaps: [] };
    } catch (error) {
      return { disks: [], gaps: [{ pool, ...asJobError(error) }] };
    }
  });
  const disks = found.flatMap((each) => each.disks).toSorted((a, b) => a.since.localeCompare(b.since));
  const gaps = found.flatMap((each) => each.gaps);
  if (disks.length <= MOST_DISKS) return { disks, gaps };
  const omitted = Map.groupBy(disks.slice(MOST_DISKS), ({ pool }) => pool);
  const tooMany = [...omitted].map(([pool, { length }]) => ({
    ...{ pool, name: 'QuotaExceeded', message: `${length} more are kept in it than are listed.` },
  }));
  return { disks: disks.slice(0, MOST_DISKS), gaps: [...gaps, ...tooMany] };
}

async function keptIn(pool: string, xapi: Session, { installation }: Config): Promise<KeptDisk[]> {
  const all = await xapi.call('VDI.get_all_records_where', 'field "managed" = "true"');
  return entriesOf(all).flatMap(([, vdi]) => {
    // Whoever has attached it has decided on it.
    if (vdi.is_a_snapshot || vdi.VBDs.length > 0) return [];
    const kept = keptAs(vdi, installation);
    if (!kept) return [];
    const { jobId, device, since, vm: vmUuid } = kept;
    const { uuid, name_label: name } = vdi;
    return [{ pool, jobId, uuid, name, virtualBytes: intOf(vdi.virtual_size), vmUuid, device, since }];
  });
}

/**
 * The disk that a restore has kept, looked up by its UUID.
 * @throws RestoreConflict where it is gone, is not marked as kept of that restore, or is attached anywhere
 */
export async function keptDisk(
  xapi: Session,
  { installation }: Config,
  { jobId, uuid }: { readonly jobId: string; readonly uuid: string },
): Promise<Ref<'VDI'>> {
  const refuse = (why: string) =>
    new XensnapError('RestoreConflict', `The disk ${uuid}, which the restore ${jobId} has kept, ${why}.`);
  const ref = await byUuid(xapi, 'VDI', uuid);
  if (ref === undefined) throw refuse('is gone');
  const vdi = await xapi.call('VDI.get_record', ref);
  if (vdi.is_a_snapshot || keptAs(vdi, installation)?.jobId !== jobId)
    throw refuse('no longer says that it is kept: somebody has decided on it');
  const { inControlDomains, others } = await attachmentsOf(xapi, ref);
  if (others.length > 0 || inControlDomains.length > 0) throw refuse('is attached: detach it first');
  return ref;
}

/** So long xapi has a call wait for what else is done on its SR, before it does it (helpers.ml, Repeat_with_uniform_backoff). */
const XAPI_WAITS_MS = 2 * 3600 * 1000;

/** Until when a disk may yet go that somebody has had destroyed, where no answer came; ISO 8601. */
export function keptMayGoUntil(
  { keptGoingAt }: Pick<RestoreJob, 'keptGoingAt'>,
  now: Date,
): string | undefined {
  const until = keptGoingAt === undefined ? 0 : Date.parse(keptGoingAt) + XAPI_WAITS_MS;
  return until > now.getTime() ? new Date(until).toISOString() : undefined;
}

/**
 * Destroys the disk that a restore into a VM has kept, because somebody has said so: nothing else ever does. One that is
 * gone already is noted as gone. Where the job's record has expired, the disk's own mark says which it is.
 * @throws JobNotFound where there is neither a record nor such a disk; RestoreConflict; VmNotFound where the VM is another's
 *   by now, who may want its disk back
 */
export async function destroyKept(
  jobId: string,
  runtime: Runtime,
  { allows }: Pick<Asker, 'allows'> = {},
): Promise<void> {
  const { store, clock } = runtime;
  if (!(await store.jobs.restore(jobId))) return destroyUnrecorded(jobId, runtime);
  await withRestoreAlone(jobId, runtime, async (job) => {
    const uuid = job.undoneAt === undefined ? job.vmBefore?.disk.uuid : job.diskUuid;
    if (!job.into || !job.committed || uuid === undefined)
      throw new XensnapError('RestoreConflict', `The restore ${jobId} has kept no disk.`);
    if (job.open !== undefined) throw notNow(jobId);
    if (job.keptGoneAt !== undefined) return;
    // Of a call without an answer this is known even after a crash.
    await store.jobs.noteKeptGoing(jobId, clock.now());
    try {
      await destroy(job.pool, { jobId, uuid }, runtime, (xapi) => refuseOthersVm(xapi, job.into, allows));
    } catch (error) {
      if (job.keptGoingAt === undefined && !isReplyLost(error))
        await store.jobs.noteKeptGoing(jobId, undefined);
      throw error;
    }
    await store.jobs.noteKeptGone(jobId, clock.now());
  });
}

async function refuseOthersVm(xapi: Session, into: IntoVm | undefined, allows: Asker['allows']) {
  const vm = allows && into && (await byUuid(xapi, 'VM', into.uuid));
  if (vm && !allows(await xapi.call('VM.get_record', vm)))
    throw new XensnapError('VmNotFound', `There is no VM "${into.name}".`);
}

async function destroyUnrecorded(jobId: string, runtime: Runtime): Promise<void> {
  const { disks, gaps } = await keptDisks(runtime);
  const found = disks.find((disk) => disk.jobId === jobId);
  if (found) return destroy(found.pool, found, runtime);
  const unseen = gaps.length === 0 ? '' : ` Not every pool could be looked at: ${gaps[0]?.message}`;
  throw new XensnapError(
    'JobNotFound',
    `There is no restore ${jobId}, and no disk that it has kept.${unseen}`,
  );
}

async function destroy(
  pool: string,
  disk: { readonly jobId: string; readonly uuid: string },
  { config, withSession }: Runtime,
  before: (xapi: Session) => Promise<void> = async () => undefined,
): Promise<void> {
  try {
    await withSession(
      pool,
      async (xapi) => {
        await before(xapi);
        if ((await byUuid(xapi, 'VDI', disk.uuid)) === undefined) return;
        await keptDisk(xapi, config, disk);
        await destroyUntilGone(xapi, undefined, [disk.uuid], { exported: false, whole: true, kept: true });
      },
      { seconds: MOST_SECONDS },
    );
  } catch (error) {
    throw translateOfPool(pool, error);
  }
}
