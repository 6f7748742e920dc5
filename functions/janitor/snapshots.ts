import { jobOfLabel } from '../job.ts';
import { destroyTemplate } from '../pool/destroy.ts';
import { isExported } from '../pool/host-away.ts';
import { tagsIn } from '../pool/tags.ts';
import { isTemplateFound, type Template } from '../pool/template.ts';
import { type Found, isClosed, isOld, type Round } from './round.ts';

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
  const job = labelled && (await runtime.store.jobs.snapshot(labelled));
  const name = `snapshot "${record.name_label}"`;
  if (labelled && (await isTemplateFound(xapi, record, job || { id: labelled }, installation))) {
    if (job && job.open !== undefined) return undefined;
    if (!dryRun)
      await destroyTemplate(xapi, { ref, uuid: record.uuid }, { exported: !job || isExported(job) });
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
