import type { MachineName, StepName } from '../../statemachine/contract.ts';

/** A job as the reckoning imagines it. Everything that is not named goes well at once. */
export interface JobModel {
  readonly machine: MachineName;
  readonly uploadSeconds: number;
  readonly snapshotSeconds: number;
  /** Looks at the disk's chain until it is settled; 1 where the chain is short. */
  readonly coalesceLooks: number;
  /** Seconds in the host's line, and how many of them at its head, where admission tries again and again. */
  readonly queueSeconds: number;
  readonly headSeconds: number;
  /** A scheduled job's wait for a VM that another job has. */
  readonly vmWaitSeconds: number;
  /** Lines that the job left for another host's before the one in which it was granted. */
  readonly requeues: number;
  /** Tries of the upload; each takes `uploadSeconds`. */
  readonly uploadTries: number;
  /** What the plugin's estimate of the rest is to the truth: 1 is right. */
  readonly estimateFactor: number;
  /** Runs of the two polls where they are known; the seconds above then count for nothing. */
  readonly snapshotPolls?: number;
  readonly uploadPolls?: number;
  /** Second tries of a step by the state machine's Retry, over the whole job. */
  readonly retries: Readonly<Partial<Record<StepName, number>>>;
  /** The step that fails for good, if any. */
  readonly fails?: StepName;
  /** Looks of the caller at the job through the API. */
  readonly looks: number;
}

/** A job without trouble, on a VM whose chain the coalescer has to tidy up first. */
export const PLAIN_JOB: JobModel = {
  machine: 'snapshot',
  uploadSeconds: 1200,
  snapshotSeconds: 5,
  coalesceLooks: 2,
  queueSeconds: 0,
  headSeconds: 0,
  vmWaitSeconds: 0,
  requeues: 0,
  uploadTries: 1,
  estimateFactor: 1,
  retries: {},
  looks: 20,
};

/** A restore without trouble. */
export const PLAIN_RESTORE: JobModel = { ...PLAIN_JOB, machine: 'restore', looks: 20 };

/** The configuration's waits that decide how often a job is looked at, in seconds. */
export interface PollTimings {
  readonly snapshotPollSeconds: number;
  readonly coalescePollSeconds: number;
  readonly uploadPollMinSeconds: number;
  readonly uploadPollMaxSeconds: number;
  readonly uploadRetrySeconds: number;
  readonly vmPollSeconds: number;
  readonly admissionRetrySeconds: number;
}

/** The defaults of functions/config.ts, which a test compares. */
export const DEFAULT_TIMINGS: PollTimings = {
  snapshotPollSeconds: 5,
  coalescePollSeconds: 15,
  uploadPollMinSeconds: 10,
  uploadPollMaxSeconds: 300,
  uploadRetrySeconds: 60,
  vmPollSeconds: 60,
  admissionRetrySeconds: 900,
};
