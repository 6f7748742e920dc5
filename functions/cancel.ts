import { mapBounded } from './bounded.ts';
import { XensnapError } from './errors.ts';
import type { ExecutionOf } from './executions.ts';
import { type Job, orAsItWas } from './job.ts';
import type { Runtime } from './runtime/executions.ts';
import type { CounterKey } from './store/counters.ts';
import { translate } from './translate.ts';
import { ended } from './words.ts';

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
export async function cancelJob<J extends Job>(found: J, runtime: Runtime, actor?: string): Promise<J> {
  const { store } = runtime;
  const cancelled = await store.jobs.cancel(found.id, actor);
  if (cancelled) {
    await stopOrLater(cancelled, runtime);
    return orAsItWas(cancelled, found);
  }
  const job = await store.jobs.get(found.id);
  if (!job) throw new XensnapError('JobNotFound', `There is no job ${found.id}.`);
  if (job.finishedAt !== undefined)
    throw new XensnapError('JobFinished', `The job is over: it ${ended(job.status)} at ${job.finishedAt}.`);
  throw new XensnapError('JobCommitted', `${STAYS[job.machine]}; the job only tidies up now.`);
}

const STAYS = {
  snapshot: 'The image is verified and stays',
  restore: 'The image is restored, and what was made stays',
} as const satisfies Record<Job['machine'], string>;

/** The job is closing, so that whatever its execution comes to next is refused: to stop it only makes that sooner. */
async function stopOrLater(job: Job, { store, executions, log }: Runtime): Promise<void> {
  try {
    await executions.stop(job, CAUSE);
  } catch (error) {
    if (!(await store.counters.take(UNSTOPPED, placeOf(job), MOST_UNSTOPPED))) throw error;
    const { name, message } = translate(error);
    log.warn('a cancelled execution could not be stopped yet', {
      jobId: job.id,
      error: name,
      reason: message,
    });
  }
}

/** What stands for a job among the unstopped: of a snapshot, the first to stand there, its id alone. */
function placeOf({ machine, id }: ExecutionOf): string {
  return machine === 'snapshot' ? id : `${machine}/${id}`;
}

function executionAt(place: string): ExecutionOf {
  const restore = /^restore\/(.+)$/.exec(place)?.[1];
  return restore === undefined ? { machine: 'snapshot', id: place } : { machine: 'restore', id: restore };
}

/**
 * Stops the executions of cancelled jobs that could not be stopped before; each by itself.
 * @throws the first failure, after the last of them was tried
 */
export async function stopCancelled({ store, executions }: Runtime): Promise<void> {
  const failures: unknown[] = [];
  await mapBounded(await store.counters.holders(UNSTOPPED), STOPPED_AT_ONCE, async (place) => {
    try {
      await executions.stop(executionAt(place), CAUSE);
      await store.counters.release(UNSTOPPED, place);
    } catch (error) {
      failures.push(error);
    }
  });
  if (failures.length > 0) throw failures[0];
}
