import type { Image } from '../../glance/image.ts';
import { XensnapError } from '../errors.ts';
import { type JobWith, orAsItWas, type SnapshotJob } from '../job.ts';
import { noteVerified } from '../schedules/outcome.ts';
import { housekeeping, step } from '../step.ts';

/**
 * The commit point. The image is good when Glance has it, active, with the size and the sha512 that the plugin
 * computed of what it sent; from then on the job succeeds, and nothing but rotation deletes the image.
 */
export const handler = step(
  'VerifyImage',
  { needs: ['consistency', 'imageBytes', 'sha512'] },
  async (_state, { job, glance, store, clock, log }) => {
    const verified = { backup: job.request.backup !== undefined };
    // What it means for the schedules' report; ReleaseHost notes it again.
    const note = (committed: SnapshotJob) =>
      housekeeping(log, 'the last verified backup', () => noteVerified(committed, { store }));
    if (job.committed) {
      await note(job);
      return verified;
    }
    const image = await glance.getImage(job.id);
    if (!image) throw deleted();
    if (image.status === 'saving' || image.status === 'queued')
      throw new XensnapError(
        'GlanceUnavailable',
        `Glance has all data but says that the image is ${image.status}.`,
      );
    refuseDifference(job, image);
    const now = clock.now();
    let { owner } = image;
    try {
      // This can't be done earlier: Glance forgets what is changed while it receives the data.
      ({ owner } = await glance.updateImage(job.id, {
        xensnap_consistency: job.consistency,
        xensnap_verified: 'true',
        // Rotation goes by this time, since the image record's own is that of the request.
        xensnap_verified_at: now.toISOString(),
      }));
    } catch (error) {
      throw error instanceof Error && error.name === 'GlanceNotFound' ? deleted(error) : error;
    }
    const committed = await store.jobs.commit(job.id, now, owner);
    if (!committed) throw new XensnapError('JobClosing', 'The job is being closed: its image is not kept.');
    await note(orAsItWas(committed, job));
    return verified;
  },
);

function deleted(cause?: unknown): XensnapError {
  return new XensnapError('ImageDeleted', 'The image was deleted while the job ran.', { cause });
}

function refuseDifference(job: JobWith<'imageBytes' | 'sha512'>, image: Image): void {
  if (image.status !== 'active')
    throw new XensnapError('ImageCorrupt', `The image is ${image.status}, not active.`);
  if (image.sizeBytes !== job.imageBytes)
    throw new XensnapError(
      'ImageCorrupt',
      `Glance has ${image.sizeBytes} bytes, but the plugin sent ${job.imageBytes}.`,
    );
  if (image.osHashAlgo === 'sha512' && image.osHashValue === job.sha512) return;
  throw new XensnapError(
    'ImageCorrupt',
    image.osHashAlgo === 'sha512'
      ? 'The sha512 that Glance computed differs from what the plugin sent.'
      : `Glance computes ${image.osHashAlgo ?? 'no hash'}; xensnap needs os_hash_algo sha512 to verify.`,
  );
}
