import { XensnapError } from '../errors.ts';
import { backupSetOf, deleteBackups, isGone, judgeBackups, listBackups } from '../rotation.ts';
import { step } from '../step.ts';
import { NOT_ROTATED } from '../told.ts';

/** Images whose end a later try still notes: a record has its bounds, and whoever looks at another job notes it, too. */
const MOST_NOTED = 1000;

/**
 * Deletes the oldest verified backups past the number to keep. After the commit only, and under the VM's lease, so
 * that no other backup of the VM rotates at the same time. What cannot be deleted is a warning; a list that fails
 * deletes nothing.
 */
export const handler = step(
  'RotateBackups',
  { needs: [] },
  async (_state, { job, glance, store, config, clock, log }) => {
    const set = backupSetOf(job, config.installation);
    const { backup } = job.request;
    const noteGone = async (imageIds: readonly string[]) => {
      for (const id of imageIds)
        if (await isGone(glance, id)) await store.jobs.noteImage(id, clock.now().toISOString());
    };
    if (!set || !backup || !job.committed) return undefined;
    const images = await listBackups(glance, set);
    await noteGone((job.rotating ?? []).filter((imageId) => images.every(({ id }) => id !== imageId)));
    const own = images.find(({ id }) => id === job.id);
    if (!own && job.rotating?.includes(job.id)) return undefined;
    if (!own) throw new XensnapError('GlanceUnavailable', "Glance's list lacks the new backup.");
    const { backups } = await store.backups.of(job.pool, job.vmUuid);
    const verdicts = judgeBackups(
      images,
      { ...set, owner: own.owner, verified: backups },
      backup.keep,
      job.id,
    );
    // Before they go: a try that comes after this one would not know any more which they were, and a look would call them
    // lost.
    const going = verdicts.filter(({ action }) => action === 'delete').map(({ image }) => image.id);
    await store.backups.forget(job.pool, job.vmUuid, going);
    const rotating = [...new Set([...(job.rotating ?? []), ...going])].slice(-MOST_NOTED);
    if (going.length > 0) await store.jobs.record(job.id, { rotating });
    const { deleted, failures } = await deleteBackups(glance, verdicts);
    for (const failure of failures) await store.jobs.warn(job.id, failure, NOT_ROTATED);
    for (const id of deleted) await store.jobs.noteImage(id, clock.now().toISOString());
    log.info('backups rotated', {
      type: set.type,
      keep: backup.keep,
      past: deleted,
      failed: failures.length,
    });
    return undefined;
  },
);
