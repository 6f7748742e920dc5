import { XensnapError } from '../errors.ts';
import { whyNotExchanged } from '../into-vm.ts';
import { finishRestored } from '../pool/finish-restored.ts';
import { lookAt } from '../pool/position.ts';
import { NOT_STARTED, startOrWarn } from '../pool/start-vm.ts';
import { type DepsOf, step } from '../step.ts';
import { settleSwap } from './SettleSwap.ts';

/**
 * The commit point: what was made is no longer ours to destroy. From then on the job succeeds: names, blocks and tags are
 * put right, by the janitor if need be, and whether the VM can start is told as a warning.
 */
export const handler = step('FinishRestore', { needs: ['diskUuid', 'imageName'] }, async (_state, deps) => {
  const { job, xapi, store, config } = deps;
  if (!job.committed) await refuseOtherDisk(deps);
  if (
    !job.committed &&
    !(await store.jobs.commitRestore(job.id)) &&
    !(await store.jobs.get(job.id))?.committed
  )
    throw new XensnapError('JobClosing', 'The job is being closed: what it has made is not kept.');
  await finishRestored(xapi, job, config.installation);
  if (job.into) await settleSwap(deps);
  else if (job.request.start && job.restoredVmUuid !== undefined)
    await startOrWarn(deps, job.restoredVmUuid, NOT_STARTED);
  return undefined;
});

/** What is not in the VM is not committed. @throws VmGone, VmChanged, VmNotHalted */
async function refuseOtherDisk({ job, xapi }: DepsOf<'FinishRestore', 'diskUuid'>): Promise<void> {
  const { into, diskUuid } = job;
  if (!into) return;
  const at = await lookAt(xapi, into);
  if (!at) throw whyNotExchanged('VM gone', into);
  if (at.diskUuid !== diskUuid) throw whyNotExchanged('other disk', into);
  if (at.vm.power_state !== 'Halted')
    throw new XensnapError(
      'VmNotHalted',
      `The VM "${into.name}" was started before the restore was over. It gets the disk back that it had once it is halted.`,
    );
}
