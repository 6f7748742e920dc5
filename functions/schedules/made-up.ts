import type { Job } from '../job.ts';

/** Up to these a job has an image's record, the VM's lease and a place in a line, and its VM has seen nothing of it. */
const BEFORE_ANY_EFFECT: readonly Job['phase'][] = [
  'Requested',
  'TakeVm',
  'InspectVm',
  'QueueForHost',
  'ConfirmHost',
];

/**
 * Whether a job has failed before it began: its request did, or the service was stopped in between. The run of a
 * schedule is not over with it: the next look at the schedules asks again or, where it is too late, tells the outcome.
 */
export function failedBeforeItBegan({ status, phase }: Pick<Job, 'status' | 'phase'>): boolean {
  return status === 'failed' && BEFORE_ANY_EFFECT.includes(phase);
}
