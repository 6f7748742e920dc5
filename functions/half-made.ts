import { snapshotLabel } from './job.ts';
import { known } from './known.ts';
import type { StepDeps } from './step.ts';
import { TAGS } from './tags.ts';
import { disksOf } from './template.ts';

/**
 * Removes what a failed quiesced snapshot left half-made. Such a template carries our tags but not yet our label
 * (xapi renames it last). It is provably ours only by its transportable id, which no other snapshot call sets;
 * one without it may be an operator's, made in the same moment, and is only reported.
 */
export async function removeHalfMade({ job, xapi, store, config }: StepDeps): Promise<void> {
  for (const ref of await xapi.call('VM.get_snapshots', known(job, 'vmRef'))) {
    const vm = await xapi.call('VM.get_record', ref);
    const tagged =
      vm.other_config[TAGS.job] === job.id && vm.other_config[TAGS.installation] === config.installation;
    if (!tagged) continue;
    if (vm.transportable_snapshot_id === '' && vm.name_label !== snapshotLabel(job.id)) {
      await store.jobs.warn(
        job.id,
        `A failed quiesced snapshot may have left "${vm.name_label}" (${vm.uuid}); it was not removed.`,
      );
      continue;
    }
    for (const vdiRef of await disksOf(xapi, ref)) await xapi.call('VDI.destroy', vdiRef);
    await xapi.call('VM.destroy', ref);
  }
}
