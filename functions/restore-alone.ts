import { randomUUID } from 'node:crypto';
import type { VmRecord } from '../xapi/types.ts';
import { XensnapError } from './errors.ts';
import type { RestoreJob } from './job.ts';
import type { Runtime } from './runtime/executions.ts';

/** Who wants something of a restore that is over. */
export interface Asker {
  readonly actor?: string;
  /** Says which VMs the caller may touch; all if absent. */
  readonly allows?: (vm: VmRecord) => boolean;
}

/**
 * Works on a restore with its record to itself: neither the janitor nor another request is at it meanwhile.
 * @throws JobNotFound, RestoreConflict
 */
export async function withRestoreAlone<T>(
  jobId: string,
  { store, clock, config }: Runtime,
  work: (job: RestoreJob) => Promise<T>,
): Promise<T> {
  if (!(await store.jobs.restore(jobId)))
    throw new XensnapError('JobNotFound', `There is no restore ${jobId}.`);
  const me = randomUUID();
  const until = new Date(clock.now().getTime() + config.timings.claimSeconds * 1000);
  try {
    if (!(await store.jobs.claim(jobId, me, clock.now(), until))) throw notNow(jobId);
    const job = await store.jobs.restore(jobId);
    if (!job) throw new XensnapError('JobNotFound', `There is no restore ${jobId}.`);
    return await work(job);
  } finally {
    await store.jobs.unclaim(jobId, me);
  }
}

/** The error that a restore is not over, or that somebody else is at it. */
export function notNow(jobId: string): XensnapError {
  return new XensnapError(
    'RestoreConflict',
    `The restore ${jobId} is not over yet, or somebody is at it: ask again in a moment.`,
  );
}
