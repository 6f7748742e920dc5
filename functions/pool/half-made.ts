import type { Ref, VmRecord } from '../../xapi/types.ts';
import { jobOfLabel, snapshotLabel } from '../job.ts';
import type { SnapshotDeps } from '../step.ts';
import { destroyTemplate } from './destroy.ts';
import { eachAlone } from './each-alone.ts';
import { GONE, unlessGone, unlessUnknown } from './gone.ts';
import { tagsIn } from './tags.ts';

/**
 * Removes what a failed quiesced snapshot left half-made. Such a template carries our tag but not yet our label
 * (xapi renames it last). Among unnamed ones it is provably ours only by its transportable id, which no call but that one
 * sets, and by having no other job's tag; one that may be an operator's or another installation's, made in the same
 * moment, is only reported. What is complete under another name is theirs.
 */
export async function removeHalfMade(
  { job, xapi, store, config }: SnapshotDeps,
  vmRef: Ref<'VM'>,
): Promise<void> {
  const source = { class: 'VM', ref: vmRef, uuid: job.vmUuid } as const;
  const snapshots = await unlessGone(xapi, source, (ref) => xapi.call('VM.get_snapshots', ref));
  await eachAlone(snapshots === GONE ? [] : snapshots, async (ref) => {
    const vm = await unlessUnknown('VM', ref, () => xapi.call('VM.get_record', ref));
    if (vm === GONE) return;
    const tags = tagsIn(vm.other_config);
    const own = tags.filter(({ jobId }) => jobId === job.id);
    if (!own.some(({ installation }) => installation === config.installation)) return;
    const isNamed = vm.name_label === snapshotLabel(job.id);
    if (!isNamed && (isQuiesced(vm) || jobOfLabel(vm.name_label) !== undefined)) return;
    if (isNamed || (vm.transportable_snapshot_id !== '' && own.length === tags.length))
      return destroyTemplate(xapi, { ref, uuid: vm.uuid }, { exported: false });
    const warning = `A failed quiesced snapshot may have left "${vm.name_label}" (${vm.uuid}); it was not removed.`;
    if (!job.warnings?.includes(warning)) await store.jobs.warn(job.id, warning);
  });
}

/** Set with the label, once a quiesced snapshot is complete. */
function isQuiesced({ snapshot_info }: VmRecord): boolean {
  return snapshot_info['disk-snapshot-type'] === 'quiesced';
}
