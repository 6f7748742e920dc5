import type { Ref } from '../../xapi/types.ts';
import { XensnapError } from '../errors.ts';
import { GONE, unlessGone } from '../pool/gone.ts';
import { lockBefore, mayLoseLiveKey, noteOpening, openLock } from '../pool/lock.ts';
import { tag } from '../pool/tags.ts';
import { allowedVms } from '../projects.ts';
import { type DepsOf, owe, step } from '../step.ts';

/**
 * Unlocks the VM's snapshots. The tags come first, so that a snapshot that is made of the VM from here on carries them,
 * and that another installation that reads the VM after us leaves it open; what one did that read it before us, the
 * second read tells.
 */
export const handler = step('UnlockVm', { needs: ['vmRef', 'taggedDisks'] }, async (_state, deps) => {
  const { job, xapi } = deps;
  const vm = { class: 'VM', ref: job.vmRef, uuid: job.vmUuid } as const;
  if ((await unlessGone(xapi, vm, (ref) => open(deps, ref))) === GONE)
    throw new XensnapError('VmGone', `The VM "${job.vmName}" is no longer there.`);
  return undefined;
});

async function open(deps: DepsOf<'UnlockVm', 'taggedDisks'>, vmRef: Ref<'VM'>): Promise<void> {
  const { job, xapi, config, clock } = deps;
  const { installation } = config;
  const vm = await xapi.call('VM.get_record', vmRef);
  // It may have queued for days.
  if (!allowedVms(job.project, config)(vm))
    throw new XensnapError(
      'VmChanged',
      `The VM "${job.vmName}" is no longer of the project that wants an image of it: it was left as it is.`,
    );
  // What an earlier try of this step found: it may have opened the lock.
  const before = job.lockBefore === undefined ? lockBefore(vm) : job.lockBefore;
  const unlockedLive = mayLoseLiveKey(vm) || job.unlockedLive === true;
  await owe(deps, 'relock', { lockBefore: before, unlockedLive });
  await noteOpening(xapi, vmRef, { jobId: job.id, installation, before, now: clock.now() });
  if ((await tag(xapi, vmRef, job.taggedDisks, { jobId: job.id, installation })) === GONE)
    throw new XensnapError(
      'VmChanged',
      `A disk of the VM "${job.vmName}" was exchanged while the job queued: the VM was reverted, or its storage moved. Ask again.`,
    );
  await openLock(xapi, vmRef);
}
