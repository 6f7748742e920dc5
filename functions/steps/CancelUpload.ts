import { orAsItWas } from '../job.ts';
import { type DepsOf, step } from '../step.ts';
import { stopTransfer } from '../transfer/stop.ts';

/** Closes the job, stops an upload that may run, and sees to it that the token is gone. */
export async function cancelUpload(deps: DepsOf<'CancelUpload'>): Promise<void> {
  await stopTransfer({ ...deps, job: orAsItWas(await deps.store.jobs.close(deps.job.id), deps.job) });
}

export const handler = step('CancelUpload', { needs: [] }, async (_state, deps) => {
  await cancelUpload(deps);
  return undefined;
});
