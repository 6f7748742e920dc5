import type { StepName } from '../../statemachine/contract.ts';

/**
 * What one run of a step uses. Table reads and writes are those of its code when all goes well, `step.ts` included
 * (begin, end, the pool's health); a test counts them in a real run. Seconds and log bytes are assumptions.
 */
export interface StepUse {
  /** How long its Lambda runs, warm: the calls of the pool at some 30 ms each, and what they make it wait for. */
  readonly seconds: number;
  readonly reads: number;
  /** Writes to the job's record; what they cost in the indexes is {@link INDEX_WRITES}. */
  readonly jobWrites: number;
  /** Writes to the small records: leases, slots. */
  readonly smallWrites: number;
  /** Calls of Secrets Manager: each session logs in, and Glance wants a token. */
  readonly secretReads: number;
}

export const STEP_USE: Readonly<Record<StepName, StepUse>> = {
  TakeVm: use(0.1, 0, 2, 1, 0),
  InspectVm: use(0.6, 1, 3, 0, 1),
  ConfirmHost: use(0.3, 2, 2, 0, 1),
  UnlockVm: use(0.5, 1, 3, 0, 1),
  StartSnapshot: use(0.4, 1, 5, 0, 1),
  PollSnapshot: use(0.6, 1, 2, 0, 1),
  AwaitCoalesce: use(3, 1, 2, 0, 1),
  StartUpload: use(0.8, 1, 6, 0, 2),
  PollUpload: use(0.4, 1, 3, 0, 1),
  VerifyImage: use(0.5, 0, 3, 0, 1),
  // Beside a page or two of the list: one image goes.
  RotateBackups: use(0.8, 0, 3, 0, 1),
  InspectImage: use(0.8, 2, 3, 0, 2),
  CreateDisks: use(2, 1, 4, 0, 1),
  StartDownload: use(0.6, 1, 6, 0, 2),
  PollDownload: use(0.4, 1, 3, 0, 1),
  // With one warning.
  CreateVm: use(1.5, 2, 5, 0, 1),
  SwapDisk: use(1, 1, 4, 0, 1),
  FinishRestore: use(1, 1, 3, 0, 1),
  TestVm: use(0.4, 1, 3, 0, 1),
  CancelUpload: use(0.8, 2, 4, 0, 1),
  DiscardImage: use(0.5, 1, 4, 0, 1),
  DestroySnapshot: use(3, 2, 3, 0, 1),
  RelockVm: use(0.4, 2, 3, 0, 1),
  CancelDownload: use(0.8, 2, 4, 0, 1),
  SettleSwap: use(1, 2, 3, 0, 1),
  DestroyVm: use(1, 2, 3, 0, 1),
  DestroyDisks: use(2, 2, 3, 0, 1),
  MarkImage: use(0.5, 1, 3, 0, 1),
  ReleaseHost: use(0.2, 4, 5, 3, 0),
};

/** Writes to the job's record that a poll adds once, when what it waited for is there. */
export const WRITES_AT_LAST: Readonly<Partial<Record<StepName, number>>> = {
  PollSnapshot: 1,
  PollUpload: 2,
  PollDownload: 2,
};

/** One call of the admission function: with a slot granted, and with the line noted that waits, until it is woken. */
export const ADMISSION = {
  granted: use(0.1, 3, 1, 1, 0),
  wait: use(0.06, 2, 0, 3, 0),
  memoryMib: 256,
} as const;

/** The API function: a request for a snapshot (with an Idempotency-Key), and a look at a job. */
export const API = {
  request: use(1.2, 2, 2, 3, 2),
  look: use(0.02, 1, 0, 0, 0),
  memoryMib: 1024,
} as const;

/** The mean size of the job's record over its life. */
export const JOB_RECORD_KB = 2;
/**
 * Writes to the indexes over a job's life, which hold keys alone: a write of the record that changes none costs nothing
 * there. Four when the job is made, two each time that its status changes, one when it is settled; a test counts them.
 */
export const INDEX_WRITES = 11;
/** Time that a cold start takes. AWS has charged it since August 2025. Assumed once per function and job. */
export const COLD_START_SECONDS = 0.5;
/** Start, end and report in JSON, the function's own lines, and its metrics, which are lines too. */
export const LOG_BYTES_A_RUN = 2000;
export const LOG_BYTES_A_REQUEST = 500;

function use(
  seconds: number,
  reads: number,
  jobWrites: number,
  smallWrites: number,
  secretReads: number,
): StepUse {
  return { seconds, reads, jobWrites, smallWrites, secretReads };
}
