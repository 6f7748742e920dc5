import { XensnapError } from '../errors.ts';
import { whyHeld } from '../held-vm.ts';
import { step } from '../step.ts';

/**
 * Takes the VM's lease, or finds that the request took it. A scheduled job waits for its place in the window, then for
 * a busy VM up to the window's end, and ends as `skipped` after that; a job on demand never waits, for its request was
 * refused already.
 */
export const handler = step('TakeVm', { needs: [] }, async (_state, { job, store, clock, config }) => {
  const early = job.startAfter === undefined ? 0 : Date.parse(job.startAfter) - clock.now().getTime();
  if (early > 0) return { taken: false, waitSeconds: Math.ceil(early / 1000) };
  const holder = await store.leases.takeVm(job.pool, job.vmUuid, job.id, clock.now());
  const waitSeconds = Math.ceil(config.timings.vmPollSeconds);
  if (holder === job.id) return { taken: true, waitSeconds };
  if (job.waitForVmUntil !== undefined && clock.now().toISOString() < job.waitForVmUntil)
    return { taken: false, waitSeconds };
  const { message, details } = await whyHeld(job.vmName, holder, { store, clock, config });
  throw new XensnapError('VmBusy', message, { details });
});
