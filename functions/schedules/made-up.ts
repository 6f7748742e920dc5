import { RETRYABLE_ERRORS } from '../../statemachine/retries.ts';
import type { Reason } from '../errors.ts';
import type { Job } from '../job.ts';
import type { Run } from './run.ts';

/** In these phases a job has an image record, the VM's lease and a place in a line, and has not touched its VM. */
const BEFORE_ANY_EFFECT: readonly Job['phase'][] = [
  'Requested',
  'TakeVm',
  'InspectVm',
  'InspectImage',
  'QueueForHost',
  'ConfirmHost',
];

/** The disks were exchanged while the job queued, by a move of their storage, say: it found that, and left the VM as it was. */
const CHANGED = 'VmChanged';

/**
 * Whether a job has failed before it began: its request did, the service was stopped in between, or the VM was another by
 * its turn. The run of a schedule is not over with it: the next look at the schedules asks again or, where it is too late,
 * tells the outcome.
 */
export function failedBeforeItBegan({
  status,
  phase,
  error,
}: Pick<Job, 'status' | 'phase' | 'error'>): boolean {
  return status === 'failed' && (error?.name === CHANGED || BEFORE_ANY_EFFECT.includes(phase));
}

/** What another try may mend, while the run's window lasts. */
const PASSING: readonly string[] = [
  ...RETRYABLE_ERRORS,
  'Internal',
  'Interrupted',
  'QuotaExceeded',
  'SecretUnusable',
  CHANGED,
];

export function mayPass({ name }: Reason): boolean {
  return PASSING.includes(name);
}

export function isInTime({ startBefore = '' }: Run, now: Date): boolean {
  return now.toISOString() < startBefore;
}

/** Whether a run whose job has failed still waits: the next look at the schedules asks for another job. */
export function isAskedForAgain(
  run: Run,
  job: Pick<Job, 'status' | 'phase' | 'error'>,
  reason: Reason,
  now: Date,
): boolean {
  return failedBeforeItBegan(job) && mayPass(reason) && isInTime(run, now);
}
