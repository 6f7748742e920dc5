import { type Caught, type FinalStatus, OUTCOME_OF_ERROR } from '../statemachine/contract.ts';
import { documented, type Reason } from './errors.ts';
import { isSnapshot, type Job } from './job.ts';

/** How a job ends: succeeded if it is committed, whatever came after; else what its failure means. */
export function outcomeOf(job: Job, failure: Reason): { status: FinalStatus; error?: Reason } {
  if (job.committed) return { status: 'succeeded' };
  if (job.cancelRequested)
    return { status: 'cancelled', error: { name: 'JobCancelled', message: 'The job was cancelled.' } };
  if (isNothingToTest(job, failure)) return { status: 'cancelled', error: failure };
  return { status: OUTCOME_OF_ERROR[failure.name] ?? 'failed', error: failure };
}

/** A backup that a rotation has deleted before its test was over has not failed to restore. */
function isNothingToTest(job: Job, { name }: Reason): boolean {
  return !isSnapshot(job) && job.request.test === true && name === 'ImageNotFound';
}

/** What a Catch wrote, as a job's error. */
export function errorOfCaught(caught: Caught | undefined): Reason {
  if (!caught) return { name: 'Internal', message: 'The job ended without a reason.' };
  const { Error: name, Cause: cause } = caught;
  if (name === 'States.Timeout' || name === 'Sandbox.Timedout')
    return { name: 'TimedOut', message: 'A step, or the wait for a slot, took longer than it may.' };
  return documented(
    { name, message: messageOf(cause) },
    OF_AWS.test(name) ? 'ServiceUnavailable' : 'Internal',
  );
}

/** What Step Functions calls the failures of the services it asks: `Lambda.Unknown`, `SQS.InternalServerError`. */
const OF_AWS = /^(lambda|sqs)\./i;

/** A Lambda's error arrives as JSON with `errorMessage`; any other cause is text. */
function messageOf(cause: string): string {
  try {
    const { errorMessage } = JSON.parse(cause);
    if (typeof errorMessage === 'string') return errorMessage;
  } catch {
    // Not JSON: text.
  }
  return cause;
}
