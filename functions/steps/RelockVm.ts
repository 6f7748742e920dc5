import type { Ref } from '../../xapi/types.ts';
import { XensnapError } from '../errors.ts';
import { orAsItWas } from '../job.ts';
import { GONE, unlessGone } from '../pool/gone.ts';
import { giveUpHost, isHostAway } from '../pool/host-away.ts';
import { closeLock, forgetOpening, isClosedInDatabase } from '../pool/lock.ts';
import { keysIn, untag } from '../pool/tags.ts';
import { type DepsOf, type SnapshotDeps, step } from '../step.ts';

/** Locks the VM's snapshots again, and sees to it that our tags are off. Pays `relock`. */
export async function relockVm(deps: DepsOf<'RelockVm'>): Promise<void> {
  const { xapi, store } = deps;
  const job = orAsItWas(await store.jobs.get(deps.job.id), deps.job);
  if (!job.debts?.has('relock') || job.vmRef === undefined) return;
  const vm = { class: 'VM', ref: job.vmRef, uuid: job.vmUuid } as const;
  const closed = await unlessGone(xapi, vm, (ref) => close({ ...deps, job }, ref)).catch((error: unknown) =>
    leaveToHost({ ...deps, job }, job.vmRef as Ref<'VM'>, error),
  );
  if (closed === 'left') return;
  // No VM, nothing to lock; but its disks may be there still, with our tags.
  if (closed === GONE) await untag(xapi, vm, job.taggedDisks ?? [], job.id);
  await store.jobs.pay(job.id, 'relock');
}

export const handler = step('RelockVm', { needs: [] }, async (_state, deps) => {
  await relockVm(deps);
  return undefined;
});

async function close({ job, xapi, config, clock }: SnapshotDeps, ref: Ref<'VM'>): Promise<void> {
  const record = await xapi.call('VM.get_record', ref);
  const keys = keysIn(record.other_config, job.id);
  // A snapshot that may still be made must be found to be ours by the tags that it takes over.
  const mayCome = job.debts?.has('snapshot') === true && job.templateUuid === undefined;
  // This comes before the lock: of two installations that close the VM at once, each waits for the other's tag to go.
  if (!mayCome && (keys.length > 0 || job.templateUuid === undefined))
    await untag(
      xapi,
      { ref, uuid: job.vmUuid },
      job.taggedDisks ?? [],
      job.id,
      keys.length > 0 ? keys : undefined,
    );
  const closed = await closeLock(xapi, { ref, record }, [job], {
    config,
    now: clock.now(),
    // A guest that was paused when the VM was opened has kept it.
    liveKey: job.unlockedLive ? undefined : job.lockBefore,
  });
  if (closed !== 'closed') throw new XensnapError('StillOwed', STILL_OPEN[closed](record.name_label));
  if (mayCome)
    throw new XensnapError(
      'StillOwed',
      'The tags stay until it is known whether a snapshot is still to come.',
    );
  await forgetOpening(xapi, ref, job.id);
}

/**
 * The guest runs, by the database, on the host that is away. xapi changes the database before it passes the map on, and
 * from there the VM is locked wherever it starts; the guest's own key is the host's to change once it is back.
 */
async function leaveToHost(deps: DepsOf<'RelockVm'>, ref: Ref<'VM'>, error: unknown): Promise<'left'> {
  const { job, xapi, store, config } = deps;
  if (!isHostAway(error)) throw error;
  if (!isClosedInDatabase(await xapi.call('VM.get_record', ref), [job], config)) throw error;
  await store.jobs.record(job.id, { relockAwaitsHost: true });
  if (!(await giveUpHost(deps))) throw error;
  return 'left';
}

const STILL_OPEN = {
  paused: (vm: string) =>
    `"${vm}" is paused, and xapi can't lock a paused guest: it is locked once it runs or is halted.`,
  others: (vm: string) =>
    `Another installation of xensnap is making a snapshot of "${vm}": it is locked once that is done.`,
};
