import { XensnapError } from './errors.ts';
import { takeVm } from './held-vm.ts';
import { whyNotExchanged } from './into-vm.ts';
import { isSwapped, type RestoreJob, type SwappedJob } from './job.ts';
import { keptDisk, keptMayGoUntil } from './kept-disks.ts';
import { lookAt, refuseWhileBusy } from './pool/position.ts';
import { refuseUnlessHaltable } from './pool/shut-down.ts';
import { type Asker, notNow, withRestoreAlone } from './restore-alone.ts';
import type { Runtime } from './runtime/executions.ts';
import { releaseVm } from './steps/ReleaseHost.ts';
import { settleSwap } from './steps/SettleSwap.ts';
import { translateOfPool } from './translate.ts';

/** Whoever asks waits, and API Gateway does not wait longer than 30 seconds. Half done, the janitor does the rest. */
const MOST_SECONDS = 20;

/**
 * Gives a VM the disk back that it had before a restore into it: the one that was restored is kept in its place. What has
 * been undone before is answered as it is.
 * @throws JobNotFound, RestoreConflict, VmNotFound, VmNotHalted, VmChanged, XapiBusy, SnapshotInProgress where a job has
 *   the VM
 */
export async function undoRestore(jobId: string, asker: Asker, runtime: Runtime): Promise<RestoreJob> {
  return withRestoreAlone(jobId, runtime, async (job) => {
    if (job.undoneAt !== undefined) return job;
    const swapped = refuseUnlessUndoable(job, runtime.clock.now());
    // What an earlier request has begun goes on.
    if (!job.undoing) {
      await look(swapped, asker, runtime);
      if (!(await runtime.store.jobs.undo(jobId))) throw notNow(jobId);
    }
    await takeLease(swapped, runtime);
    await settle(job, runtime);
    const undone = (await runtime.store.jobs.restore(jobId)) ?? job;
    if (undone.undoneAt !== undefined) return undone;
    throw new XensnapError('RestoreConflict', undone.warnings?.at(-1) ?? 'The disks could not be exchanged.');
  });
}

function refuseUnlessUndoable(job: RestoreJob, now: Date): SwappedJob {
  const { id, into } = job;
  const refuse = (why: string) => new XensnapError('RestoreConflict', `The restore ${id} ${why}.`);
  if (!into) throw refuse('has made a VM or a disk of its own: there is nothing to exchange back');
  if (job.open !== undefined && !job.undoing) throw notNow(id);
  if (!job.committed || !isSwapped(job)) throw refuse('did not succeed: the VM has the disk that it had');
  if (job.keptGoneAt !== undefined)
    throw refuse(`has nothing to exchange back: the disk that it had kept is gone since ${job.keptGoneAt}`);
  const until = keptMayGoUntil(job, now);
  if (until !== undefined && !job.undoing)
    throw refuse(`was to have its other disk destroyed, which the pool may still do until ${until}`);
  return job;
}

/** Looks whether it can be, before anything of it is on record. */
async function look(job: SwappedJob, { allows }: Asker, runtime: Runtime): Promise<void> {
  const { into, vmBefore } = job;
  await inSession(job, runtime, async (xapi) => {
    const at = await lookAt(xapi, into);
    if (!at) throw whyNotExchanged('VM gone', into);
    if (allows && !allows(at.vm)) throw new XensnapError('VmNotFound', `There is no VM "${into.name}".`);
    if (at.diskUuid !== job.diskUuid) throw whyNotExchanged('other disk', into);
    refuseUnlessHaltable(at.vm, undefined);
    refuseWhileBusy(at.vm);
    await keptDisk(xapi, runtime.config, { jobId: job.id, uuid: vmBefore.disk.uuid });
  });
}

/** Nothing is done without the VM: where another job has it, the undo is as if it had not been asked for. */
async function takeLease(job: SwappedJob, runtime: Runtime): Promise<void> {
  try {
    await takeVm(job, job.into, runtime);
  } catch (error) {
    if (!job.undoing) {
      await runtime.store.jobs.endUndo(job.id, undefined);
      await releaseVm({ ...runtime, job });
    }
    throw error;
  }
}

async function settle(job: RestoreJob, runtime: Runtime): Promise<void> {
  const log = runtime.log.with({ jobId: job.id });
  const metrics = runtime.metrics.with({ jobId: job.id });
  await inSession(job, runtime, (xapi) => settleSwap({ ...runtime, log, metrics, job, xapi }));
  await releaseVm({ ...runtime, metrics, job });
}

async function inSession<T>(
  { pool }: RestoreJob,
  runtime: Runtime,
  use: Parameters<typeof runtime.withSession<T>>[1],
): Promise<T> {
  try {
    return await runtime.withSession(pool, use, { seconds: MOST_SECONDS / 2 });
  } catch (error) {
    throw translateOfPool(pool, error);
  }
}
