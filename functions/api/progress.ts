import type { SnapshotJob } from '../job.ts';

/** Percent that each thing done is worth. The upload is most of the way, and its own range is bytes. */
const DONE = {
  begun: 1,
  placed: 2,
  queued: 4,
  snapshot: 8,
  settled: 12,
  uploaded: 90,
  committed: 92,
} as const;

/** The progress shown after the commit point. */
const TIDYING: Partial<Record<SnapshotJob['phase'], number>> = {
  DestroySnapshot: 94,
  RelockVm: 96,
  ReleaseHost: 98,
};

/**
 * How far a job is, 0 to 100; 100 only once it has succeeded. It never falls, although steps are repeated: it looks
 * at what was done, not at the step that runs, and a second upload has the last part of the range to itself.
 */
export function progressOf(job: SnapshotJob): number {
  if (job.status === 'succeeded') return 100;
  if (job.committed) return TIDYING[job.phase] ?? DONE.committed;
  if (job.uploadAttempts) return uploadProgress(job, job.uploadAttempts);
  if (job.templateUuid !== undefined) return DONE.snapshot;
  if (job.group !== undefined) return DONE.queued;
  if (job.hostUuid !== undefined) return DONE.placed;
  return job.phase === 'Requested' ? 0 : DONE.begun;
}

/** The first attempt goes to 80, the second to 85, the third to 87.5, and so on. */
function uploadProgress(job: SnapshotJob, attempt: number): number {
  const floor = attempt === 1 ? DONE.snapshot : DONE.uploaded - 20 / 2 ** (attempt - 1);
  const ceiling = DONE.uploaded - 20 / 2 ** attempt;
  const { bytesRead = 0, bytesTotal = 0 } = job;
  const part = bytesTotal > 0 ? Math.min(1, bytesRead / bytesTotal) : 0;
  return Math.floor(floor + (ceiling - floor) * part);
}
