import type { Session } from '../../xapi/session.ts';
import type { Ref } from '../../xapi/types.ts';
import type { RestoreJob } from '../job.ts';
import { nameAtWork } from '../restored.ts';
import { byUuid, GONE, unlessUnknown } from './gone.ts';
import { tagsIn } from './tags.ts';

/** A disk by reference and UUID. */
export interface FoundDisk {
  readonly ref: Ref<'VDI'>;
  readonly uuid: string;
}

/**
 * The disks that a restore has made and not given away: by the UUID on record, and by their name, for what was made by a
 * call whose reply was lost. Only what carries the job's tag with our installation's name counts. Name and tag are in each
 * snapshot and clone of the disk, too, which are whose made them: what is on no record has no VM.
 */
export async function disksMadeBy(
  xapi: Session,
  job: RestoreJob,
  installation: string,
): Promise<readonly FoundDisk[]> {
  const onRecord = job.diskUuid === undefined ? undefined : await byUuid(xapi, 'VDI', job.diskUuid);
  const named = await xapi.call('VDI.get_by_name_label', nameAtWork(job));
  const found: FoundDisk[] = [];
  for (const ref of new Set([...(onRecord === undefined ? [] : [onRecord]), ...named])) {
    const record = await unlessUnknown('VDI', ref, () => xapi.call('VDI.get_record', ref));
    if (record === GONE || !isOf(record.other_config, job.id, installation)) continue;
    const { uuid, is_a_snapshot, VBDs } = record;
    if (uuid === job.diskUuid || (!is_a_snapshot && VBDs.length === 0)) found.push({ ref, uuid });
  }
  return found;
}

/** Whether something carries a job's tag with our installation's name, and that of no other installation. */
export function isOf(
  otherConfig: Readonly<Record<string, string>>,
  jobId: string,
  installation: string,
): boolean {
  const tags = tagsIn(otherConfig).filter((tag) => tag.jobId === jobId);
  return tags.length > 0 && tags.every((tag) => tag.installation === installation);
}
