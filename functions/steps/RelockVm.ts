import { isCode } from '../../xapi/errors.ts';
import type { VmRecord } from '../../xapi/types.ts';
import type { Config } from '../config.ts';
import { XensnapError } from '../errors.ts';
import type { Job } from '../job.ts';
import { type StepDeps, step } from '../step.ts';
import { TAGS, untag } from '../tags.ts';
import { LOCK_KEY } from './InspectVm.ts';

/** Locks the VM's snapshots again, and sees to it that our tags are off. Pays `relock`. */
export async function relockVm(deps: StepDeps): Promise<void> {
  const { xapi, store, config } = deps;
  const job = (await store.jobs.get(deps.job.id)) ?? deps.job;
  if (!job.debts?.has('relock') || job.vmRef === undefined) return;
  try {
    const vm = await xapi.call('VM.get_record', job.vmRef);
    const wanted = lockAfter(job, config);
    const { [LOCK_KEY]: _lock, ...rest } = vm.xenstore_data;
    await xapi.call(
      'VM.set_xenstore_data',
      job.vmRef,
      wanted === null ? rest : { ...rest, [LOCK_KEY]: wanted },
    );
    if (!reachesGuest(vm, job, wanted))
      throw new XensnapError(
        'StillOwed',
        `"${vm.name_label}" is paused, and xapi can't lock a paused guest: it is locked once it runs or is halted.`,
      );
    // A snapshot that may still be made must be found to be ours by the tags that it takes over.
    if (job.debts.has('snapshot') && job.templateUuid === undefined)
      throw new XensnapError(
        'StillOwed',
        'The tags stay until it is known whether a snapshot is still to come.',
      );
    if (vm.other_config[TAGS.job] !== undefined || job.templateUuid === undefined)
      await untag(xapi, job.vmRef, job.taggedDisks ?? []);
  } catch (error) {
    // No VM, nothing to lock.
    if (!isCode(error, 'HANDLE_INVALID')) throw error;
  }
  await store.jobs.pay(job.id, 'relock');
}

export const handler = step('RelockVm', async (_state, deps) => {
  await relockVm(deps);
  return undefined;
});

/** The value of the lock's key after the job; null: no key. */
function lockAfter(job: Job, config: Config): string | null {
  return config.relock === 'restore' ? (job.lockBefore ?? null) : 'false';
}

/**
 * Whether the guest's live key now says what the database does. xapi passes the map on to a running guest only; a
 * halted or suspended one gets it when it starts; a paused one keeps the live key that it has, which is right only if
 * it was never changed and is what is wanted.
 */
function reachesGuest(vm: VmRecord, job: Job, wanted: string | null): boolean {
  return vm.power_state !== 'Paused' || (!job.unlockedLive && job.lockBefore === wanted);
}
