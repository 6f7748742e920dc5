import { mapBounded } from './bounded.ts';
import { XensnapError } from './errors.ts';
import type { Job } from './job.ts';
import type { Runtime } from './runtime/executions.ts';
import type { CounterKey } from './store/counters.ts';
import { translate } from './translate.ts';

/** The cancelled jobs whose execution is still to be stopped. */
export const UNSTOPPED: CounterKey = 'executions#unstopped';
/** What an item of the table has room for, and more than anybody cancels in the minutes that AWS may refuse. */
const MOST_UNSTOPPED = 5000;
const STOPPED_AT_ONCE = 8;
const CAUSE = 'cancelled by its caller';

/**
 * Cancels a job: from now on it only cleans up, even if its execution can't be stopped at once. Throws JobNotFound,
 * JobCommitted or JobFinished, and what Step Functions failed with when it has refused to stop too many others.
 * @param actor who wants that; the first one stays on record
 */
export async function cancelJob(jobId: string, runtime: Runtime, actor?: string): Promise<Job> {
  const { store } = runtime;
  const cancelled = await store.jobs.cancel(jobId, actor);
  if (cancelled) {
    await stopOrLater(jobId, runtime);
    return cancelled;
  }
  const job = await store.jobs.get(jobId);
  if (!job) throw new XensnapError('JobNotFound', `There is no job ${jobId}.`);
  if (job.finishedAt !== undefined)
    throw new XensnapError('JobFinished', `The job ended ${job.status} at ${job.finishedAt}.`);
  throw new XensnapError('JobCommitted', 'The image is verified and stays; the job only tidies up now.');
}

/** The job is closing, so that whatever its execution comes to next is refused: to stop it only makes that sooner. */
async function stopOrLater(jobId: string, { store, executions, log }: Runtime): Promise<void> {
  try {
    await executions.stop(jobId, CAUSE);
  } catch (error) {
    if (!(await store.counters.take(UNSTOPPED, jobId, MOST_UNSTOPPED))) throw error;
    const { name, message } = translate(error);
    log.warn('a cancelled execution could not be stopped yet', { jobId, error: name, reason: message });
  }
}

/**
 * Stops the executions of cancelled jobs that could not be stopped before; each by itself.
 * @throws the first failure, after the last of them was tried
 */
export async function stopCancelled({ store, executions }: Runtime): Promise<void> {
  const failures: unknown[] = [];
  await mapBounded(await store.counters.holders(UNSTOPPED), STOPPED_AT_ONCE, async (jobId) => {
    try {
      await executions.stop(jobId, CAUSE);
      await store.counters.release(UNSTOPPED, jobId);
    } catch (error) {
      failures.push(error);
    }
  });
  if (failures.length > 0) throw failures[0];
}
