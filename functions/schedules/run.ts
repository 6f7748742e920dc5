import type { Reason } from '../errors.ts';
import type { ScheduledRun } from '../job.ts';

/** How a run ended. `skipped`: nothing was tried, or its time was over before it could begin. */
export const RUN_OUTCOMES = ['succeeded', 'failed', 'skipped'] as const;
export type RunOutcome = (typeof RUN_OUTCOMES)[number];

/** How a run stands in a report: `waiting` until its job has been asked for. */
export const RUN_STATES = ['waiting', 'running', ...RUN_OUTCOMES] as const;
export type RunState = (typeof RUN_STATES)[number];

/** One nominal time of a schedule for one VM, or one of its tests. Times are ISO 8601 UTC. */
export interface Run extends ScheduledRun {
  /** The next nominal time, when this run must have begun; absent for the last one. */
  readonly next?: string;
  readonly project?: string;
  /** Absent where a run came to nothing before its VMs were known. */
  readonly pool?: string;
  readonly vmUuid?: string;
  readonly vmName?: string;
  readonly backupType: string;
  /** Its job: the id is on record before the job is asked for. */
  readonly jobId?: string;
  /** The VM's place in the window, and the window's end. */
  readonly startAfter?: string;
  readonly startBefore?: string;
  /** Why the job could not be asked for the last time that it was tried. */
  readonly problem?: Reason;
  readonly outcome?: RunOutcome;
  readonly reason?: Reason;
  readonly finishedAt?: string;
}
