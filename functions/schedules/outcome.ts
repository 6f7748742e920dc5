import type { Reason } from '../errors.ts';
import type { SnapshotJob } from '../job.ts';
import type { CountName } from '../metrics.ts';
import type { BaseRuntime } from '../runtime/base.ts';
import type { RunKey } from '../store/runs.ts';
import type { Store } from '../store.ts';
import type { RunOutcome } from './run.ts';

type Deps = Pick<BaseRuntime, 'clock' | 'log' | 'metrics'> & { readonly store: Store };

const METRIC: { readonly [O in RunOutcome]?: CountName } = {
  failed: 'BackupFailed',
  skipped: 'BackupSkipped',
};

/** Tells a run's outcome, once, and counts it. `jobId`: only while that is the run's job. */
export async function tellRun(
  run: RunKey,
  jobId: string | undefined,
  told: { readonly outcome: RunOutcome; readonly reason?: Reason | undefined },
  { store, clock, log, metrics }: Deps,
): Promise<void> {
  const written = await store.runs.finish(run, jobId, { ...told, finishedAt: clock.now() });
  if (!written) return;
  const { scheduleId, nominal, pool, vmUuid } = run;
  const fields = { scheduleId, nominal, pool, vm: vmUuid, jobId, ...told };
  if (told.outcome === 'succeeded') log.info('scheduled run ended', fields);
  else log.warn('scheduled run ended', fields);
  const metric = METRIC[told.outcome];
  if (metric) metrics.count(metric);
}

/** What a finished job means for its run. */
export function runOutcomeOf({ status, error }: SnapshotJob): {
  outcome: RunOutcome;
  reason?: Reason | undefined;
} {
  if (status === 'succeeded') return { outcome: 'succeeded' };
  // Somebody cancelled the backup: nothing has failed.
  const outcome = status === 'skipped' || status === 'cancelled' ? 'skipped' : 'failed';
  return { outcome, reason: error };
}

/**
 * Puts what a job's end means on record: the VM's last verified backup, and the run of the schedule that asked for it.
 * What cannot be written now, the next tick reads from the job.
 */
export async function noteEnd(job: SnapshotJob, deps: Deps): Promise<void> {
  try {
    await noteVerified(job, deps);
    const { run, pool, vmUuid } = job;
    if (run) await tellRun({ ...run, pool, vmUuid }, job.id, runOutcomeOf(job), deps);
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
  const { id: imageId, verifiedAt, sha512, imageBytes: bytes, imageOwner: owner, project = null } = job;
  await store.backups.verified(job.pool, job.vmUuid, {
    imageId,
    type: backup.type,
    verifiedAt,
    project,
    ...(sha512 !== undefined && { sha512 }),
    ...(bytes !== undefined && { bytes }),
    ...(owner !== undefined && { owner }),
  });
}
