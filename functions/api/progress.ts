import { isSnapshot, type Job, type RestoreJob, type SnapshotJob } from '../job.ts';

/** Percent that each thing done is worth. The transfer is most of the way, and its own range is bytes. */
const DONE = {
  begun: 1,
  placed: 2,
  queued: 4,
  ready: 8,
  transferred: 90,
  vmMade: 91,
  committed: 92,
} as const;

/** The progress shown after the commit point. */
const TIDYING: Partial<Record<Job['phase'], number>> = {
  DestroySnapshot: 94,
  RelockVm: 96,
  ReleaseHost: 98,
};

/**
 * How far a job is, 0 to 100; 100 only once it has succeeded. It never falls, although steps are repeated: it looks
 * at what was done, not at the step that runs, and a second transfer has the last part of the range to itself.
 */
export function progressOf(job: Job): number {
  if (job.status === 'succeeded') return 100;
  if (job.committed) return TIDYING[job.phase] ?? DONE.committed;
  return isSnapshot(job) ? imaged(job) : restored(job);
}

function imaged(job: SnapshotJob): number {
  const { bytesRead = 0, bytesTotal = 0 } = job;
  if (job.uploadAttempts)
    return inAttempt(job.uploadAttempts, bytesTotal > 0 ? Math.min(1, bytesRead / bytesTotal) : 0);
  return job.templateUuid === undefined ? placed(job) : DONE.ready;
}

function restored(job: RestoreJob): number {
  if (job.restoredVmUuid !== undefined || job.vmBefore !== undefined) return DONE.vmMade;
  const { uploadAttempts, bytesRead = 0, bytesTotal = 0, imageBytes = 0, debts } = job;
  if (!uploadAttempts) return job.diskUuid === undefined ? placed(job) : DONE.ready;
  if (bytesTotal > 0 && bytesRead === bytesTotal && !debts?.has('plugin')) return DONE.transferred;
  return inAttempt(uploadAttempts, imageBytes > 0 ? partOfPasses(bytesRead / imageBytes) : 0);
}

/** An image that has to be read more than once, which shows only then, makes the rest smaller and what was done no less. */
function partOfPasses(passes: number): number {
  return passes <= 1 ? 0.9 * passes : 1 - 0.1 / passes;
}

function placed(job: Job): number {
  if (job.group !== undefined) return DONE.queued;
  if (job.hostUuid !== undefined) return DONE.placed;
  return job.phase === 'Requested' ? 0 : DONE.begun;
}

/** The first attempt goes to 80, the second to 85, the third to 87.5, and so on. */
function inAttempt(attempt: number, part: number): number {
  const floor = attempt === 1 ? DONE.ready : DONE.transferred - 20 / 2 ** (attempt - 1);
  const ceiling = DONE.transferred - 20 / 2 ** attempt;
  return Math.floor(floor + (ceiling - floor) * part);
}
