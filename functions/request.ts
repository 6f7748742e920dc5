import { randomUUID } from 'node:crypto';
import { wasNeverSent } from '../glance/never-sent.ts';
import { abandon } from './abandon.ts';
import type { ErrorName } from './errors.ts';
import { takeVm } from './held-vm.ts';
import { imageFormat, imageProperties } from './image-properties.ts';
import { isFinished, type SnapshotJob } from './job.ts';
import { newJob } from './new-job.ts';
import { giveBack, takeQuota } from './quota.ts';
import { bindKey, jobOfKey, KEY_SECONDS } from './request-key.ts';
import type { Runtime } from './runtime/executions.ts';
import { refuseUnusable, type SnapshotRequest } from './snapshot-request.ts';
import { findTarget, type Target } from './target.ts';
import { translate } from './translate.ts';

/**
 * Starts a job, or finds the one that this request started before. Refuses what can be known beforehand, with an
 * error whose name says what it is: see ERROR_STATUS. Each write leaves a record before its effect, so that a
 * failure half-way is undone or found by the janitor.
 */
export async function requestSnapshot(
  wish: SnapshotRequest,
  runtime: Runtime,
): Promise<{ job: SnapshotJob; created: boolean }> {
  const { store } = runtime;
  refuseUnusable(wish);
  const earlier = await jobOfKey('snapshot', wish, runtime);
  if (earlier) return { job: earlier, created: false };
  const id = wish.jobId ?? randomUUID();
  // This comes before any pool is asked, so that a refusal costs little.
  await takeQuota('jobs', wish.project, id, runtime);
  const { job, target, other } = await prepare(id, wish, runtime).catch(async (error: unknown) => {
    await giveBack('jobs', wish.project, id, runtime);
    throw error;
  });
  if (other) {
    await giveBack('jobs', wish.project, id, runtime);
    return { job: other, created: false };
  }
  try {
    if (!(await store.jobs.create(job)))
      return { job: (await store.jobs.snapshot(job.id)) ?? job, created: false };
  } catch (error) {
    // It may be there all the same. The id of a scheduled one may be another tick's, whose job goes on.
    if (wish.jobId === undefined) await abandon(job, wish, error, runtime, undo);
    throw translate(error);
  }
  try {
    // A scheduled job waits for its VM in TakeVm.
    if (!wish.scheduled)
      await takeVm(job, { uuid: job.vmUuid, name: job.vmName }, runtime, (holder) =>
        undoRefused(holder, runtime),
      );
    await begin(job, target, runtime);
    if (wish.idempotency)
      await store.leases.takeKey(wish.idempotency.key, job.id, runtime.clock.now(), KEY_SECONDS.served);
  } catch (error) {
    const running = await abandon(job, wish, error, runtime, undo);
    if (!running) throw translate(error);
    runtime.log.warn('a job runs although its request failed', {
      jobId: job.id,
      reason: translate(error).message,
    });
    return { job: running, created: true };
  }
  // The job runs, whether or not it can be read at this moment.
  return { job: (await store.jobs.snapshot(job.id).catch(() => undefined)) ?? job, created: true };
}

/** The job as it is to be put on record; `other` is the one that another request with the key has made by now. */
async function prepare(id: string, wish: SnapshotRequest, runtime: Runtime) {
  const target = await findTarget(wish, runtime);
  const job = newJob(id, wish, target, runtime);
  return { job, target, other: await bindKey('snapshot', wish, job.id, runtime) };
}

/** A refused request may not have been undone yet, because Glance was away: the next request for the VM tries again. */
async function undoRefused(jobId: string, runtime: Runtime): Promise<boolean> {
  const job = await runtime.store.jobs.snapshot(jobId);
  return job?.phase === 'Requested' && isFinished(job) && (await undo(job, runtime));
}

async function begin(
  job: SnapshotJob,
  target: Target,
  { store, glance, executions, config }: Runtime,
): Promise<void> {
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
