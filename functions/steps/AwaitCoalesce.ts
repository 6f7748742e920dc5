import type { Ref, VdiRecord } from '../../xapi/types.ts';
import { known } from '../known.ts';
import { secondsSince, step } from '../step.ts';

/** The parents of a disk, nearest first, and whether the garbage collector may yet merge some of them. */
interface Chain {
  readonly parents: readonly string[];
  readonly coalescable: boolean;
}

/**
 * Scans the SR (which refreshes `vhd-parent` and wakes the garbage collector) until the chain of the snapshot's root
 * disk holds nothing that can be merged and is the same in two looks, or until the time for it is over: the plugin
 * notices a chain that changes under it. What xapi exports is the same at any time, so nothing is waited for then.
 */
export const handler = step('AwaitCoalesce', async (state, { job, xapi, config, clock }) => {
  const { coalescePollSeconds, coalesceMaxSeconds } = config.timings;
  const since = state.coalesce?.since ?? clock.now().toISOString();
  const waitSeconds = Math.ceil(coalescePollSeconds);
  if (job.readsChain === false) return { settled: true, waitSeconds, chain: [], since };
  const srRef = known(job, 'srRef');
  await xapi.call('SR.scan', srRef);
  const chain = await chainOf(known(job, 'snapshotDisks')[0] ?? '', () =>
    xapi.call('VDI.get_all_records_where', `field "SR" = "${srRef}"`),
  );
  const unchanged = state.coalesce?.chain.join() === chain.parents.join();
  return {
    settled:
      job.request.force ||
      chain.parents.length <= 1 ||
      (unchanged && !chain.coalescable) ||
      secondsSince({ clock }, since) >= coalesceMaxSeconds,
    waitSeconds,
    chain: chain.parents,
    since,
  };
});

async function chainOf(
  leafUuid: string,
  disksOfSr: () => Promise<Readonly<Record<Ref<'VDI'>, VdiRecord>>>,
): Promise<Chain> {
  const parentOf = new Map<string, string | undefined>();
  const children = new Map<string, number>();
  for (const vdi of Object.values<VdiRecord>(await disksOfSr())) {
    const parent = vdi.sm_config['vhd-parent'];
    parentOf.set(vdi.uuid, parent);
    if (parent !== undefined) children.set(parent, (children.get(parent) ?? 0) + 1);
  }
  const parents: string[] = [];
  for (let uuid = parentOf.get(leafUuid); uuid && !parents.includes(uuid); uuid = parentOf.get(uuid))
    parents.push(uuid);
  // A base copy is merged into its parent when it is the parent's only child (sm cleanup.py).
  const coalescable = parents.slice(1).some((uuid) => children.get(uuid) === 1);
  return { parents, coalescable };
}
