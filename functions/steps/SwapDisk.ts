import { XensnapError } from '../errors.ts';
import { whyNotExchanged } from '../into-vm.ts';
import type { IntoVm, VmBefore } from '../job.ts';
import { attachmentOf, exchange } from '../pool/exchange.ts';
import { GONE, unlessUnknown } from '../pool/gone.ts';
import { type Found, lookAt } from '../pool/position.ts';
import { isHalted, refuseUnlessHaltable } from '../pool/shut-down.ts';
import { blockStart } from '../pool/start-block.ts';
import { allowedVms } from '../projects.ts';
import { type DepsOf, owe, step } from '../step.ts';
import { isReplyLost } from '../translate.ts';

type Deps = DepsOf<'SwapDisk', 'diskUuid'>;

/**
 * Puts the new disk into the place of the one that the VM has, which is only taken out. Before the first effect all is on
 * record that is needed to put it back; from then on nobody can start the VM.
 */
export const handler = step('SwapDisk', { needs: ['diskUuid'] }, async (_state, deps) => {
  const { job, xapi, config } = deps;
  const { into } = job;
  if (!into) throw new XensnapError('Internal', `The restore ${job.id} has no VM to go into.`);
  const at = await lookAt(xapi, into);
  if (!at) throw whyNotExchanged('VM gone', into);
  const before = job.vmBefore ?? (await noteBefore(deps, into, at));
  await blockStart(xapi, at.ref, job.id);
  if (!(await isHalted(deps, into, at)))
    return { next: 'wait', waitSeconds: Math.ceil(config.timings.snapshotPollSeconds) };
  await swap(deps, into, before);
  return { next: 'done', waitSeconds: 1 };
});

/** Puts the VM as it is on record, with the debt: nothing was done to it yet. */
async function noteBefore(deps: Deps, into: IntoVm, { vm, vbd, diskUuid }: Found): Promise<VmBefore> {
  const { xapi, job, config } = deps;
  if (!allowedVms(job.project, config)(vm))
    throw new XensnapError(
      'VmChanged',
      `The VM "${into.name}" is no longer of the project that wants to restore into it: it was left as it is.`,
    );
  if (!vbd || diskUuid !== into.diskUuid) throw whyNotExchanged('other disk', into);
  refuseUnlessHaltable(vm, into.shutdown);
  const { VDI } = vbd.record;
  const disk = await unlessUnknown('VDI', VDI, () => xapi.call('VDI.get_record', VDI));
  if (disk === GONE) throw whyNotExchanged('other disk', into);
  const vmBefore: VmBefore = {
    running: vm.power_state === 'Running',
    vbdUuid: vbd.record.uuid,
    attachment: attachmentOf(vbd.record),
    disk: { uuid: diskUuid, name: disk.name_label, description: disk.name_description },
  };
  await owe(deps, 'swap', { vmBefore });
  return vmBefore;
}

async function swap(deps: Deps, into: IntoVm, { disk, attachment }: VmBefore): Promise<void> {
  const { job, xapi, store, clock } = deps;
  const places = { ...into, from: disk.uuid, to: job.diskUuid, as: attachment };
  try {
    const ended = await exchange(xapi, places, () =>
      owe(deps, 'swap', { swapSentAt: clock.now().toISOString() }),
    );
    if (ended !== 'done') throw whyNotExchanged(ended, into);
  } catch (error) {
    // Refused, or never sent: nothing comes of it later.
    if (!isReplyLost(error)) await store.jobs.record(job.id, {}, ['swapSentAt']);
    throw error;
  }
}
