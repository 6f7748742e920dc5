import type { VdiRecord } from '../../xapi/types.ts';
import { jobOfLabel } from '../job.ts';
import { destroyTemplate, destroyUntilGone } from '../pool/destroy.ts';
import { tagsIn } from '../pool/tags.ts';
import { isTemplateFound, type Template } from '../pool/template.ts';
import type { Runtime } from '../runtime/executions.ts';
import type { Finding } from './finding.ts';
import { each, type Found, isClosed, type Round } from './round.ts';

/**
 * What is provably ours goes, such as a snapshot whose call arrived after everyone had given up on it. What has only
 * our tag is an operator's that was made while the VM was tagged, or half-made: a person must say. So is what another
 * installation made, whose tags and ours a snapshot may have both, once it is older than any upload of its own could be.
 */
export async function sweepSnapshot(
  { xapi, runtime, dryRun }: Round,
  { ref, record }: Template,
): Promise<Found> {
  const { installation } = runtime.config;
  const labelled = jobOfLabel(record.name_label);
  const job = labelled && (await runtime.store.jobs.get(labelled));
  const name = `snapshot "${record.name_label}"`;
  if (labelled && (await isTemplateFound(xapi, record, job || { id: labelled }, installation))) {
    if (job && job.open !== undefined) return undefined;
    if (!dryRun) await destroyTemplate(xapi, { ref, uuid: record.uuid });
    return { what: `${name} is of job ${labelled}, which is closed`, action: dryRun ? 'would' : 'removed' };
  }
  const tags = tagsIn(record.other_config);
  const ours = tags.filter((tag) => tag.installation === installation);
  if (labelled === undefined || ours.some(({ jobId }) => jobId === labelled)) {
    for (const { jobId } of ours)
      if (await isClosed(jobId, runtime))
        return { what: `${name} carries the tag of job ${jobId}, which is closed`, action: 'left' };
    if (ours.length > 0) return undefined;
  }
  if (tags.length === 0 || !isOld(record.snapshot_time, runtime)) return undefined;
  return { what: `${name} is of another installation, and older than its upload may take`, action: 'left' };
}

function isOld(time: Date, { clock, config }: Runtime): boolean {
  return clock.now().getTime() - time.getTime() > config.timings.uploadMaxSeconds * 1000;
}

/**
 * Disks of snapshots whose template is gone. One that is on its job's record goes; one that has only the tag may be an
 * operator's, made while the disk was tagged.
 */
export async function sweepDisks(round: Round, findings: Finding[]): Promise<void> {
  const { pool, xapi, runtime, dryRun } = round;
  const disks = await xapi.call('VDI.get_all_records_where', 'field "is_a_snapshot" = "true"');
  for (const vdi of Object.values<VdiRecord>(disks)) {
    if (vdi.VBDs.length > 0) continue;
    const tags = tagsIn(vdi.other_config);
    const tag = tags.find(({ installation }) => installation === runtime.config.installation);
    // A snapshot with the tags of two may be the other's, which is about to destroy it.
    if (tag === undefined || (tags.length > 1 && !isOld(vdi.snapshot_time, runtime))) continue;
    await each(round, { kind: 'snapshot', id: vdi.uuid }, findings, async () => {
      const job = await runtime.store.jobs.get(tag.jobId);
      if (job?.open !== undefined) return;
      const known = job?.snapshotDisks?.includes(vdi.uuid) === true;
      if (known && !dryRun) await destroyUntilGone(xapi, undefined, [vdi.uuid]);
      findings.push({
        kind: 'snapshot',
        pool,
        id: vdi.uuid,
        what: `disk "${vdi.name_label}" belongs to no VM or snapshot and carries the tag of job ${tag.jobId} (closed)`,
        action: known ? (dryRun ? 'would' : 'removed') : 'left',
      });
    });
  }
}
