import type { Job } from '../job.ts';
import { billOf } from './bill.ts';
import { DEFAULT_TIMINGS, type JobModel, PLAIN_JOB, type PollTimings } from './model.ts';
import { PRICES_OF } from './prices.ts';

/** What of a job's record its cost is worked out from. */
export type CostedJob = Pick<
  Job,
  | 'machine'
  | 'status'
  | 'createdAt'
  | 'startedAt'
  | 'firstUploadAt'
  | 'finishedAt'
  | 'uploadAttempts'
  | 'requeues'
> & {
  /** When the work on the host's storage began, which is a snapshot's first. */
  readonly snapshotSentAt?: string;
  /** The same of a restore. */
  readonly diskSentAt?: string;
  /** Runs of steps, if the record counts them: then the polls are known, and need not be guessed from the times. */
  readonly stepRuns?: number;
};

/** What a job cost, in US dollars at the prices of that day. Worked out, not read from a bill. */
export interface JobCost {
  readonly usd: number;
  readonly transitions: number;
  readonly pricesOf: string;
}

/** What a job that has ended cost; undefined while it runs. */
export function costOfJob(job: CostedJob, timings: PollTimings = DEFAULT_TIMINGS): JobCost | undefined {
  if (job.finishedAt === undefined) return undefined;
  const imagined = modelOf(job, job.finishedAt, timings);
  const { walk, usd } = billOf(
    job.stepRuns === undefined ? imagined : withRuns(imagined, job.stepRuns, timings),
    timings,
  );
  return { usd: Number(usd.toFixed(6)), transitions: walk.transitions, pricesOf: PRICES_OF };
}

/** Seconds of the steps around the upload, which its times include. */
const AROUND_UPLOAD_SECONDS = 6;

function modelOf(job: CostedJob, finishedAt: string, timings: PollTimings): JobModel {
  const tries = Math.max(1, job.uploadAttempts ?? 1);
  const uploading = seconds(job.firstUploadAt, finishedAt) - AROUND_UPLOAD_SECONDS;
  const workedFrom = job.snapshotSentAt ?? job.diskSentAt;
  const beforeUpload = seconds(job.snapshotSentAt, job.firstUploadAt ?? finishedAt);
  // Nobody noted when the snapshot was there: the plain job's seconds, and the rest is the coalescer's.
  const snapshotSeconds = Math.min(PLAIN_JOB.snapshotSeconds, beforeUpload);
  const looks = 1 + Math.floor((beforeUpload - snapshotSeconds) / timings.coalescePollSeconds);
  const queueSeconds = seconds(job.startedAt, workedFrom ?? finishedAt);
  return {
    ...PLAIN_JOB,
    machine: job.machine,
    uploadSeconds: Math.max(0, uploading / tries - (tries > 1 ? timings.uploadRetrySeconds : 0)),
    uploadTries: tries,
    snapshotSeconds,
    coalesceLooks: looks,
    queueSeconds,
    // How long it stood at the head nobody noted either: no longer than it takes another upload to end.
    headSeconds: Math.min(queueSeconds, timings.uploadPollMaxSeconds),
    vmWaitSeconds: 0,
    requeues: job.requeues ?? 0,
    looks: Math.ceil(seconds(job.createdAt, finishedAt) / 60),
    ...(job.status !== 'succeeded' && { fails: failedAt(job) }),
  };
}

/** Of each machine, the steps at which a job is taken to have failed that came so far. */
const FAILS_AT = {
  snapshot: {
    begun: 'InspectVm',
    placed: 'ConfirmHost',
    working: 'StartUpload',
    transferring: 'VerifyImage',
  },
  restore: {
    begun: 'InspectImage',
    placed: 'ConfirmHost',
    working: 'StartDownload',
    transferring: 'CreateVm',
  },
} as const;

/** A job that did not succeed ended somewhere before its end; where it began what is on record, it failed after that. */
function failedAt(job: CostedJob): NonNullable<JobModel['fails']> {
  const { begun, placed, working, transferring } = FAILS_AT[job.machine];
  if (job.firstUploadAt !== undefined) return transferring;
  if (job.snapshotSentAt !== undefined || job.diskSentAt !== undefined) return working;
  return job.startedAt === undefined ? begun : placed;
}

/** The runs that the model does not explain are the upload's polls: there are most of them. */
function withRuns(model: JobModel, stepRuns: number, timings: PollTimings): JobModel {
  const { runs } = billOf({ ...model, uploadPolls: 1 }, timings).walk;
  const others = Object.values(runs).reduce((sum, count) => sum + count, 0) - 1;
  return { ...model, uploadPolls: Math.max(1, stepRuns - others) };
}

function seconds(from: string | undefined, to: string): number {
  return from === undefined ? 0 : Math.max(0, (Date.parse(to) - Date.parse(from)) / 1000);
}
