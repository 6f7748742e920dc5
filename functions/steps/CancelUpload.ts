import { isCode } from '../../xapi/errors.ts';
import { cancelPlugin } from '../dom0.ts';
import { XensnapError } from '../errors.ts';
import { destroySecret, destroySecretsOfJob } from '../secrets.ts';
import { type StepDeps, step } from '../step.ts';
import { forgetTask } from '../tasks.ts';

/** Closes the job, stops an upload that may run, and sees to it that the token is gone. Pays `plugin` and `secret`. */
export async function cancelUpload(deps: StepDeps): Promise<void> {
  const { store } = deps;
  const job = (await store.jobs.close(deps.job.id)) ?? deps.job;
  if (job.debts?.has('plugin')) {
    await stopPlugin({ ...deps, job });
    if (job.uploadTask !== undefined) await forgetTask(deps.xapi, job.uploadTask);
    await store.jobs.pay(job.id, 'plugin');
  }
  if (job.debts?.has('secret')) {
    if (job.secretUuid !== undefined) await destroySecret(deps.xapi, job.secretUuid);
    else await destroySecretsOfJob(deps.xapi, job.id);
    await store.jobs.pay(job.id, 'secret');
  }
}

export const handler = step('CancelUpload', async (_state, deps) => {
  await cancelUpload(deps);
  return undefined;
});

/** Proof that nothing uploads any more: the plugin says so, or the host has no plugin, or is no longer in the pool. */
async function stopPlugin({ job, xapi }: StepDeps): Promise<void> {
  if (job.hostRef === undefined) return;
  try {
    const { state } = await cancelPlugin(xapi, job.hostRef, job.id);
    if (state === 'running') throw new XensnapError('StillOwed', 'The upload has not stopped yet.');
  } catch (error) {
    if (!isCode(error, 'HANDLE_INVALID', 'XENAPI_MISSING_PLUGIN')) throw error;
  }
}
