import { orAsItWas } from '../job.ts';
import { type DepsOf, step } from '../step.ts';
import { stopTransfer } from '../transfer/stop.ts';

/** Closes the job, stops a download that may run, and sees to it that the token is gone. */
export async function cancelDownload(deps: DepsOf<'CancelDownload'>): Promise<void> {
  await stopTransfer({ ...deps, job: orAsItWas(await deps.store.jobs.close(deps.job.id), deps.job) });
}

export const handler = step('CancelDownload', { needs: [] }, async (_state, deps) => {
  await cancelDownload(deps);
  return undefined;
});
