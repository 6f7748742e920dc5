import { XensnapError } from '../errors.ts';
import { step } from '../step.ts';

/**
 * Takes the VM's lease, or finds that the request took it. A scheduled job waits for a busy VM up to its window and
 * then ends as `skipped`; a job on demand never waits, for its request was refused already.
 */
export const handler = step('TakeVm', async (_state, { job, store, clock, config }) => {
  const holder = await store.leases.takeVm(job.pool, job.vmUuid, job.id);
  const waitSeconds = Math.ceil(config.timings.vmPollSeconds);
  if (holder === job.id) return { taken: true, waitSeconds };
  if (job.waitForVmUntil !== undefined && clock.now().toISOString() < job.waitForVmUntil)
    return { taken: false, waitSeconds };
  throw new XensnapError('VmBusy', `The VM "${job.vmName}" is being imaged by the job ${holder}.`);
});
