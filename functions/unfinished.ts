import type { Reason } from './errors.ts';
import { isSnapshot, type Job } from './job.ts';
import { isKept } from './restored.ts';
import { sentence } from './sentence.ts';
import type { StepDeps } from './step.ts';

/**
 * Warns of a restore that has succeeded, since its commit was written, but broke off before it had given the VM its names
 * or started it. The janitor sees to the names; nobody starts the VM later.
 */
export async function warnOfUnfinished(
  { store }: Pick<StepDeps, 'store'>,
  job: Job | undefined,
  { message }: Reason,
): Promise<void> {
  // A VM that was there before is named and started by what settles its exchange.
  if (!job || isSnapshot(job) || job.into || !isKept(job) || job.finishedAt !== undefined) return;
  const what = job.request.start ? NAMES_AND_START : NAMES;
  await store.jobs.warn(job.id, `${what} ${sentence(message)}`, what);
}

const NAMES = 'What was restored may get its own names, and be able to start, only within the next minutes.';
const NAMES_AND_START = `${NAMES} The VM may have to be started by hand then.`;
