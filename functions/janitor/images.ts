import { GlanceListTooLong } from '../../glance/errors.ts';
import type { Image } from '../../glance/image.ts';
import { UNVERIFIED } from '../image-properties.ts';
import type { Runtime } from '../runtime/executions.ts';
import { asJobError } from '../translate.ts';
import type { Finding } from './finding.ts';

/**
 * Image records of this installation that never became images, or were never verified, and whose job is closed: Glance
 * may have forbidden to delete one.
 */
export async function sweepImages(runtime: Runtime, dryRun: boolean): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const status of ['queued', 'saving', 'active'] as const)
    try {
      for await (const image of unfinished(status, runtime)) {
        const finding = await sweep(image, runtime, dryRun);
        if (finding) findings.push(finding);
      }
    } catch (error) {
      findings.push({
        kind: 'image',
        id: runtime.config.glance.url,
        what: asJobError(error).message,
        action: 'failed',
      });
      break;
    }
  return findings;
}

/**
 * The oldest first, as far as a list is read: a night's jobs have more such records than that, but one that a job has
 * left is among the oldest sooner or later.
 */
async function* unfinished(
  status: 'queued' | 'saving' | 'active',
  { glance, config }: Runtime,
): AsyncGenerator<Image, void, undefined> {
  const properties = {
    xensnap_installation: config.installation,
    ...(status === 'active' && UNVERIFIED),
  };
  try {
    yield* glance.listImages({ status, properties, sort: 'created_at:asc' });
  } catch (error) {
    if (!(error instanceof GlanceListTooLong)) throw error;
  }
}

async function sweep(
  { id, name, status }: Image,
  { store, glance }: Runtime,
  dryRun: boolean,
): Promise<Finding | undefined> {
  const what = `image "${name}" is ${status}, and its job is closed`;
  try {
    const job = await store.jobs.get(id);
    if (job?.open !== undefined || job?.committed) return undefined;
    // Data is deleted only where the job's own record says that it came to nothing.
    if (status === 'active' && !job) return undefined;
    if (!dryRun) await glance.deleteImage(id);
    return { kind: 'image', id, what, action: dryRun ? 'would' : 'removed' };
  } catch (error) {
    // An image that its owner has protected keeps no other from being deleted.
    return { kind: 'image', id, what: `${what}: ${asJobError(error).message}`, action: 'failed' };
  }
}
