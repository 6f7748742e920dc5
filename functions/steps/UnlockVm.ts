import { known } from '../known.ts';
import { owe, step } from '../step.ts';
import { tag } from '../tags.ts';
import { LOCK_KEY } from './InspectVm.ts';

/**
 * Unlocks the VM's snapshots: takes the lock's key out of its xenstore data. VM.set_xenstore_data alone reaches a
 * running guest; it replaces the whole map, hence the read before it. The tags come first, so that a snapshot that
 * is made of the VM from here on carries them.
 */
export const handler = step('UnlockVm', async (_state, deps) => {
  const { job, xapi, config } = deps;
  const vmRef = known(job, 'vmRef');
  const vm = await xapi.call('VM.get_record', vmRef);
  await owe(deps, 'relock', { unlockedLive: vm.power_state === 'Running' || job.unlockedLive === true });
  await tag(xapi, vmRef, known(job, 'taggedDisks'), { job: job.id, installation: config.installation });
  const { [LOCK_KEY]: lock, ...unlocked } = vm.xenstore_data;
  if (lock !== undefined) await xapi.call('VM.set_xenstore_data', vmRef, unlocked);
  return undefined;
});
