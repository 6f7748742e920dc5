import { XensnapError } from './errors.ts';
import type { Job } from './job.ts';

/** A fact that an earlier step put on the job's record. Throws where it is missing: the record is damaged then. */
export function known<K extends keyof Job>(job: Job, fact: K): NonNullable<Job[K]> {
  const value = job[fact];
  if (value !== undefined && value !== null) return value;
  throw new XensnapError('Internal', `The record of job ${job.id} lacks "${fact}".`);
}
