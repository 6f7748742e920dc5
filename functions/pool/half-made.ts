import type { Ref } from '../../xapi/types.ts';
import { snapshotLabel } from '../job.ts';
import type { StepDeps } from '../step.ts';
import { destroyTemplate } from './destroy.ts';
import { GONE, unlessGone, unlessUnknown } from './gone.ts';
import { tagsIn } from './tags.ts';

/**
 * Removes what a failed quiesced snapshot left half-made. Such a template carries our tag but not yet our label
 * (xapi renames it last). It is provably ours only by its transportable id, which no other snapshot call sets;
 * one without it may be an operator's, made in the same moment, and is only reported.
 */
export async function removeHalfMade(
  { job, xapi, store, config }: StepDeps,
  vmRef: Ref<'VM'>,
): Promise<void> {
  const source = { class: 'VM', ref: vmRef, uuid: job.vmUuid } as const;
  const snapshots = await unlessGone(xapi, source, (ref) => xapi.call('VM.get_snapshots', ref));
  for (const ref of snapshots === GONE ? [] : snapshots) {
    const vm = await unlessUnknown('VM', ref, () => xapi.call('VM.get_record', ref));
    if (vm === GONE) continue;
    const tagged = tagsIn(vm.other_config).some(
      ({ jobId, installation }) => jobId === job.id && installation === config.installation,
    );
    if (!tagged) continue;
    if (vm.transportable_snapshot_id === '' && vm.name_label !== snapshotLabel(job.id)) {
      const warning = `A failed quiesced snapshot may have left "${vm.name_label}" (${vm.uuid}); it was not removed.`;
      if (!job.warnings?.includes(warning)) await store.jobs.warn(job.id, warning);
      continue;
    }
    await destroyTemplate(xapi, { ref, uuid: vm.uuid });
  }
}
