import { XapiError } from '../../xapi/errors.ts';
import type { Session } from '../../xapi/session.ts';
import type { Ref, VdiRecord } from '../../xapi/types.ts';
import { type SnapshotDeps, secondsSince, step } from '../step.ts';
import { asJobError, isReplyLost } from '../translate.ts';

/** The parents of a disk, nearest first, and whether the coalescer may yet merge some of them. */
interface Chain {
  readonly chain: readonly string[];
  readonly mergeable: boolean;
}

/**
 * Waits until the chain of the snapshot's root disk holds nothing that can be merged and is the same in two looks, or
 * until the time for it is over: the plugin notices a chain that changes under it. What xapi exports is the same at any
 * time, so nothing is waited for then, nor with `force`.
 *
 * A scan only nudges the coalescer and refreshes `vhd-parent`: whatever becomes of it (one damaged VHD of somebody else's
 * fails it), the job goes on. Between scans, only the chain's own records are looked at.
 */
export const handler = step('AwaitCoalesce', { needs: ['snapshotDisks', 'srRef'] }, async (state, deps) => {
  const { job, xapi, config, clock } = deps;
  const { coalescePollSeconds, coalesceScanSeconds, coalesceMaxSeconds } = config.timings;
  const now = clock.now().toISOString();
  const waitSeconds = Math.ceil(coalescePollSeconds);
  if (job.readsChain === false || job.request.force)
    return {
      settled: true,
      waitSeconds,
      chain: [],
      mergeable: false,
      since: now,
      scannedAt: now,
      scanFailed: false,
    };
  // A look from before the chain changed under an upload says nothing of the chain of now.
  const before =
    state.coalesce && state.coalesce.since >= (job.chainChangedAt ?? '') ? state.coalesce : undefined;
  const since = before?.since ?? now;
  const leaf = job.snapshotDisks[0] ?? '';
  const scanned =
    before && (before.scanFailed || secondsSince({ clock }, before.scannedAt) < coalesceScanSeconds)
      ? { scannedAt: before.scannedAt, scanFailed: before.scanFailed }
      : { scannedAt: now, scanFailed: !(await scan(deps)) };
  const { chain, mergeable } =
    before && scanned.scannedAt === before.scannedAt
      ? { chain: await parentsOf(xapi, leaf), mergeable: before.mergeable }
      : await chainOf(xapi, leaf, job.srRef);
  const isStill = before !== undefined && chain.join() === before.chain.join();
  const settled =
    chain.length <= 1 || (isStill && !mergeable) || secondsSince({ clock }, since) >= coalesceMaxSeconds;
  return { settled, waitSeconds, chain, mergeable, since, ...scanned };
});

/** True if it went well. After one that did not there is no other: they would queue up behind sm's lock. */
async function scan({ job, xapi, store }: SnapshotDeps<never, 'srRef'>): Promise<boolean> {
  try {
    await xapi.call('SR.scan', job.srRef);
    return true;
  } catch (error) {
    if (!(error instanceof XapiError || isReplyLost(error))) throw error;
    await store.jobs.warn(
      job.id,
      `The SR of the disk could not be scanned, so that its coalescer may stand still: ${asJobError(error).message}`,
    );
    return false;
  }
}

/** Goes by all records of the SR: a parent that another disk has as well is not merged. */
async function chainOf(xapi: Session, leafUuid: string, srRef: Ref<'SR'>): Promise<Chain> {
  const parentOf = new Map<string, string | undefined>();
  const children = new Map<string, number>();
  const disks = await xapi.call('VDI.get_all_records_where', `field "SR" = "${srRef}"`);
  for (const { uuid, sm_config } of Object.values(disks)) {
    const parent = sm_config['vhd-parent'];
    parentOf.set(uuid, parent);
    if (parent !== undefined) children.set(parent, (children.get(parent) ?? 0) + 1);
  }
  const chain: string[] = [];
  for (let uuid = parentOf.get(leafUuid); uuid && !chain.includes(uuid); uuid = parentOf.get(uuid))
    chain.push(uuid);
  // A base copy is merged into its parent when it is the parent's only child (sm cleanup.py).
  return { chain, mergeable: chain.slice(1).some((uuid) => children.get(uuid) === 1) };
}

/** The parents of a disk by their own records, nearest first; up to one that is not there. */
async function parentsOf(xapi: Session, leafUuid: string): Promise<string[]> {
  const parents: string[] = [];
  let parent = await parentOf(xapi, leafUuid);
  while (parent !== undefined && !parents.includes(parent)) {
    parents.push(parent);
    parent = await parentOf(xapi, parent);
  }
  return parents;
}

async function parentOf(xapi: Session, uuid: string): Promise<string | undefined> {
  const found = await xapi.call('VDI.get_all_records_where', `field "uuid" = "${uuid}"`);
  const [record]: VdiRecord[] = Object.values(found);
  return record?.sm_config['vhd-parent'];
}
