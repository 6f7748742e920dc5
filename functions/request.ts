import { wasNeverSent } from '../glance/never-sent.ts';
import type { ErrorName } from './errors.ts';
import { takeVm } from './held-vm.ts';
import { imageFormat, imageProperties } from './image-properties.ts';
import { isFinished, type SnapshotJob } from './job.ts';
import { askForJob } from './job-request.ts';
import { newJob } from './new-job.ts';
import { giveBack } from './quota.ts';
import type { Runtime } from './runtime/executions.ts';
import { refuseUnusable, type SnapshotRequest } from './snapshot-request.ts';
import { findTarget, type Target } from './target.ts';
import { translate } from './translate.ts';

/**
 * Asks for a snapshot, or finds the one that this request asked for before. Refuses what can be known beforehand, with an
 * error whose name says what it is: see ERROR_STATUS.
 */
export async function requestSnapshot(
  wish: SnapshotRequest,
  runtime: Runtime,
): Promise<{ job: SnapshotJob; created: boolean }> {
  refuseUnusable(wish);
  return askForJob('snapshot', wish, runtime, {
    async prepare(id) {
      const target = await findTarget(wish, runtime);
      const job = newJob(id, wish, target, runtime);
      return { job, begin: () => begin(job, target, wish, runtime) };
    },
    undo: (job) => undo(job, runtime),
  });
}

/** A refused request may not have been undone yet, because Glance was away: the next request for the VM tries again. */
async function undoRefused(jobId: string, runtime: Runtime): Promise<boolean> {
  const job = await runtime.store.jobs.snapshot(jobId);
  return job?.phase === 'Requested' && isFinished(job) && (await undo(job, runtime));
}

async function begin(
  job: SnapshotJob,
  target: Target,
  { scheduled }: SnapshotRequest,
  runtime: Runtime,
): Promise<void> {
  const { store, glance, executions, config } = runtime;
  // A scheduled job waits for its VM in TakeVm.
  if (!scheduled)
    await takeVm(job, { uuid: job.vmUuid, name: job.vmName }, runtime, (holder) =>
      undoRefused(holder, runtime),
    );
  await store.jobs.owe(job.id, 'image');
  try {
    await glance.createImage({
      id: job.id,
      name: job.request.name,
      ...imageFormat(job),
      visibility: 'private',
      ...(job.project !== undefined && config.imagesBelongTo === 'caller' && { owner: job.project }),
      properties: imageProperties(job, target.vm, config.installation),
    });
  } catch (error) {
    // Refused, or never sent: there is no image of ours to delete, and a Glance that wants another token, or is not
    // there, would not even do that.
    if ((error instanceof Error && REFUSALS.has(error.name)) || wasNeverSent(error))
      await store.jobs.pay(job.id, 'image');
    throw error;
  }
  await executions.start(job);
}

/** Errors which say that Glance did not do what it was asked to, or was not even asked. */
const REFUSALS: ReadonlySet<string> = new Set<ErrorName>([
  'GlanceBadRequest',
  'GlanceCertificateMismatch',
  'GlanceConflict',
  'GlanceForbidden',
  'GlanceNotFound',
  'GlanceTooLarge',
  'GlanceUnauthorized',
  'KeystoneCertificateMismatch',
  'KeystoneUnauthorized',
  'KeystoneUnavailable',
]);

/** Takes away what a request has made that came to nothing. False where that fails: its debt stays on record. */
async function undo(job: SnapshotJob, runtime: Runtime): Promise<boolean> {
  const { store, glance, log } = runtime;
  try {
    const now = await store.jobs.get(job.id);
    // Its execution was started after all: that finds itself dead, and undoes what it has done by then.
    if (now && now.phase !== 'Requested') return false;
    if (now?.debts?.has('image')) {
      await store.jobs.discard(job.id);
      await glance.deleteImage(job.id);
      await store.jobs.pay(job.id, 'image');
    }
    await store.leases.releaseVm(job.pool, job.vmUuid, job.id);
    await giveBack('jobs', job.project, job.id, runtime);
    await store.jobs.settle(job.id);
    return true;
  } catch (problem) {
    // The VM stays this job's until it is paid: by the next request for the VM, or by the janitor.
    const { message } = translate(problem);
    log.warn('a refused job is left for the janitor', { jobId: job.id, reason: message });
    await store.jobs.noteOwing(job.id, message);
    return false;
  }
}
