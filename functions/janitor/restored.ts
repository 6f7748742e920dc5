import type { RestoreJob } from '../job.ts';
import { destroyUntilGone } from '../pool/destroy.ts';
import { destroyMadeVm } from '../pool/destroy-made.ts';
import { finishRestored } from '../pool/finish-restored.ts';
import { isKept, isNameAtWork } from '../restored.ts';
import type { Found, Round } from './round.ts';

/** Something that carries the tag of a restore. */
interface Made {
  readonly kind: 'VM' | 'VDI';
  readonly uuid: string;
  readonly name: string;
  /** Whether a VM or a snapshot has the disk. */
  readonly held: boolean;
}

/**
 * What a closed restore made and did not finish: of one that is committed it gets its names, and of another it goes, such
 * as a disk whose call arrived after everyone had given up on it. What somebody has given another name or a VM is left.
 */
export async function sweepRestored(
  { xapi, runtime, dryRun }: Round,
  job: RestoreJob,
  { kind, uuid, name, held }: Made,
): Promise<Found> {
  if (job.open !== undefined) return undefined;
  const what = `${kind === 'VM' ? 'VM' : 'disk'} "${name}" was made by the restore ${job.id}, which is closed`;
  const done = dryRun ? 'would' : 'removed';
  if (isKept(job) && (uuid === job.restoredVmUuid || uuid === job.diskUuid)) {
    if (!dryRun) await finishRestored(xapi, job, runtime.config.installation);
    return { what: `${what}, and had not got its names yet`, action: done };
  }
  if (held || !isNameAtWork(name)) return { what, action: 'left' };
  if (!dryRun)
    await (kind === 'VM'
      ? destroyMadeVm(xapi, job, uuid)
      : destroyUntilGone(xapi, undefined, [uuid], { exported: true, whole: true }));
  return { what, action: done };
}
