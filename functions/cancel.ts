import { XensnapError } from './errors.ts';
import type { Job } from './job.ts';
import type { Runtime } from './runtime/executions.ts';

/**
 * Cancels a job: from now on it only cleans up. Throws JobNotFound, JobCommitted or JobFinished.
 * @param actor who wants that; the first one stays on record
 */
export async function cancelJob(jobId: string, runtime: Runtime, actor?: string): Promise<Job> {
  const { store, executions } = runtime;
  const cancelled = await store.jobs.cancel(jobId, actor);
  if (cancelled) {
    await executions.stop(jobId, 'cancelled by its caller');
    return cancelled;
  }
  const job = await store.jobs.get(jobId);
  if (!job) throw new XensnapError('JobNotFound', `There is no job ${jobId}.`);
  if (job.finishedAt !== undefined)
    throw new XensnapError('JobFinished', `The job ended ${job.status} at ${job.finishedAt}.`);
  throw new XensnapError('JobCommitted', 'The image is verified and stays; the job only tidies up now.');
}
