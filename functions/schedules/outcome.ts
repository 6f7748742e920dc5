import type { Reason } from '../errors.ts';
import { isSnapshot, type Job, type RestoreJob, type SnapshotJob } from '../job.ts';
import type { CountName } from '../metrics.ts';
import { testSeconds } from '../restore-tested.ts';
import type { BaseRuntime } from '../runtime/base.ts';
import type { RunKey } from '../store/runs.ts';
import type { Store } from '../store.ts';
import type { Run, RunOutcome } from './run.ts';

type Deps = Pick<BaseRuntime, 'clock' | 'log' | 'metrics'> & { readonly store: Store };

const METRIC: { readonly [O in RunOutcome]?: CountName } = {
  failed: 'BackupFailed',
  skipped: 'BackupSkipped',
};

/** How a run ended, and when its job did, if it had one. */
interface RunEnd {
  readonly outcome: RunOutcome;
  readonly reason?: Reason | undefined;
  /** ISO 8601 UTC. */
  readonly finishedAt?: string | undefined;
}

/** Tells a run's outcome, once, and counts it. `jobId`: only while that is the run's job. It ended now, unless its job says when. */
export async function tellRun(
  run: RunKey,
  jobId: string | undefined,
  told: RunEnd,
  { store, clock, log, metrics }: Deps,
): Promise<void> {
  const { outcome, reason, finishedAt = clock.now().toISOString() } = told;
  const written = await store.runs.finish(run, jobId, { outcome, reason, finishedAt: new Date(finishedAt) });
  if (!written) return;
  const { scheduleId, nominal, pool, vmUuid } = run;
  const fields = { scheduleId, nominal, pool, vm: vmUuid, jobId, outcome, reason };
  if (outcome === 'succeeded') log.info('scheduled run ended', fields);
  else log.warn('scheduled run ended', fields);
  // Of a test its job counts.
  const metric = run.test ? undefined : METRIC[outcome];
  if (metric) metrics.count(metric);
}

/** The job of a run: a snapshot, or of a test a restore. */
export async function jobOfRun(
  { jobId, test }: Pick<Run, 'jobId' | 'test'>,
  { store }: Pick<Deps, 'store'>,
): Promise<Job | undefined> {
  if (jobId === undefined) return undefined;
  return test ? store.jobs.restore(jobId) : store.jobs.snapshot(jobId);
}

/** What a finished job means for its run. */
export function runOutcomeOf({
  status,
  error,
  finishedAt,
}: Pick<Job, 'status' | 'error' | 'finishedAt'>): RunEnd {
  if (status === 'succeeded') return { outcome: 'succeeded', finishedAt };
  // Somebody cancelled it: nothing has failed.
  const outcome = status === 'skipped' || status === 'cancelled' ? 'skipped' : 'failed';
  return { outcome, reason: error, finishedAt };
}

/**
 * Puts what a job's end means on record: the VM's last verified backup, or how a test of one ended, and the run of the
 * schedule that asked for it.
 * What cannot be written now, the next tick reads from the job.
 */
export async function noteEnd(job: Job, deps: Deps): Promise<void> {
  try {
    if (isSnapshot(job)) await noteVerified(job, deps);
    else await noteTested(job, deps);
    const of = isSnapshot(job) ? { pool: job.pool, vmUuid: job.vmUuid } : {};
    if (job.run) await tellRun({ ...job.run, ...of }, job.id, runOutcomeOf(job), deps);
  } catch (error) {
    deps.log.warn('the outcome of a scheduled run is left for the next tick', {
      jobId: job.id,
      reason: String(error),
    });
  }
}

/** Notes a verified backup of the VM. One that stays, that is: with `keep` 0 none does. */
export async function noteVerified(job: SnapshotJob, { store }: Pick<Deps, 'store'>): Promise<void> {
  const { backup } = job.request;
  if (!job.committed || job.verifiedAt === undefined || !backup || backup.keep === 0) return;
  const { id: imageId, verifiedAt, sha512, imageBytes: bytes, imageOwner: owner, project = null, run } = job;
  await store.backups.verified(job.pool, job.vmUuid, {
    imageId,
    type: backup.type,
    verifiedAt,
    project,
    ...(sha512 !== undefined && { sha512 }),
    ...(bytes !== undefined && { bytes }),
    ...(owner !== undefined && { owner }),
    ...(run && { scheduleId: run.scheduleId }),
  });
}

/** Notes how a test of a VM's image ended, where it is known of which VM that is. */
export async function noteTested(job: RestoreJob, { store }: Pick<Deps, 'store'>): Promise<void> {
  const { status, error, finishedAt, provenAt, reached = 'disk' } = job;
  const imageId = job.request.image;
  if (!job.request.test || (status !== 'succeeded' && status !== 'failed')) return;
  const of = await originOf(imageId, job.run && (await store.runs.get(job.run)), store);
  // Another project's report is not for whoever may read an image to write into.
  if (!of || (job.project !== undefined && of.project !== job.project)) return;
  const at = provenAt ?? finishedAt ?? '';
  const ended = { imageId, jobId: job.id, project: of.project, at };
  const isProven = status === 'succeeded';
  await store.backups.tested(
    of.pool,
    of.vmUuid,
    isProven
      ? { proven: { ...ended, seconds: testSeconds(job), reached } }
      : { failed: { ...ended, name: error?.name ?? 'Internal' } },
  );
  if (isProven && of.scheduleId !== undefined) await store.schedules.proven(of.scheduleId, at);
}

/**
 * Notes a test that was refused before there was a job of it as one that failed: its VM has had its turn, and does not keep
 * the others from theirs.
 */
export async function noteRefused(run: Run, { name }: Reason, { store, clock }: Deps): Promise<void> {
  const { test, jobId } = run;
  if (!test || jobId === undefined) return;
  const of = await originOf(test.imageId, run, store);
  if (!of) return;
  const at = clock.now().toISOString();
  const failed = { imageId: test.imageId, jobId, project: of.project, at, name };
  await store.backups.tested(of.pool, of.vmUuid, { failed });
}

/** What is known of the VM that an image is of. */
interface Origin {
  readonly pool: string;
  readonly vmUuid: string;
  /** Null where no project's job made it. */
  readonly project: string | null;
  /** The schedule whose backup it is. */
  readonly scheduleId?: string;
}

/** By the image's own job or, where the backup is older than what is kept of jobs, by the run that tests it. */
async function originOf(imageId: string, run: Run | undefined, store: Store): Promise<Origin | undefined> {
  const made = await store.jobs.snapshot(imageId);
  if (made) {
    const { pool, vmUuid, project = null } = made;
    return { pool, vmUuid, project, ...(made.run && { scheduleId: made.run.scheduleId }) };
  }
  if (run?.pool === undefined || run.vmUuid === undefined) return undefined;
  const { pool, vmUuid, project = null, scheduleId } = run;
  return { pool, vmUuid, project, scheduleId };
}
