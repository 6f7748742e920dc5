import type { Reason } from '../errors.ts';
import { orAsItWas, type RestoreJob } from '../job.ts';
import { errorOfCaught, outcomeOf } from '../outcome.ts';
import { type RestoreTested, readRestoreTested, TESTED_PROPERTY, testSeconds } from '../restore-tested.ts';
import { type DepsOf, step } from '../step.ts';

/**
 * Says on the image how its test ended, unless somebody cancelled it, or a test that ended later has said so. Pays `mark`,
 * also where the image is gone or its owner keeps us from changing it: the job's own record has the result.
 * @param failure what the job failed of; that of a job which has told its outcome is on its record
 */
export async function markImage(deps: DepsOf<'MarkImage'>, failure: Reason): Promise<void> {
  const { store, glance } = deps;
  const job = orAsItWas(await store.jobs.get(deps.job.id), deps.job);
  if (!job.debts?.has('mark')) return;
  const result = resultOf(job, failure, deps);
  const image = result && (await glance.getImage(job.request.image));
  const before = image && readRestoreTested(image.properties[TESTED_PROPERTY]);
  // A project that tests an image which is for all says nothing on what is another's.
  const isOwn = job.project === undefined || image?.properties.xensnap_project === job.project;
  if (result && image && isOwn && (before === undefined || before.at < result.at))
    try {
      await glance.updateImage(image.id, { [TESTED_PROPERTY]: JSON.stringify(result) });
    } catch (error) {
      const name = error instanceof Error ? error.name : '';
      if (!FOR_GOOD.includes(name)) throw error;
      if (name !== 'GlanceNotFound') await store.jobs.warn(job.id, `${UNMARKED}: ${error}`, `${UNMARKED}.`);
    }
  await store.jobs.pay(job.id, 'mark');
}

/** What no other try would mend. */
const FOR_GOOD: readonly string[] = [
  'GlanceBadRequest',
  'GlanceConflict',
  'GlanceForbidden',
  'GlanceNotFound',
  'GlanceTooLarge',
];
const UNMARKED = 'The image could not be told how its test ended';

/** How the test ended, as the image is to say it; undefined where it says nothing of the image. */
function resultOf(
  job: RestoreJob,
  failure: Reason,
  deps: Pick<DepsOf<'MarkImage'>, 'clock'>,
): RestoreTested | undefined {
  // It was never begun, and a schedule asks again.
  if (job.phase === 'Requested') return undefined;
  const { status, error } = job.finishedAt === undefined ? outcomeOf(job, failure) : job;
  const at = job.provenAt ?? job.finishedAt ?? deps.clock.now().toISOString();
  const seconds = testSeconds(job, at);
  if (status === 'succeeded') return { at, seconds, reached: job.reached ?? 'disk' };
  return status === 'failed' ? { at, seconds, failed: error?.name ?? 'Internal' } : undefined;
}

export const handler = step('MarkImage', { needs: [] }, async ({ failure }, deps) => {
  await markImage(deps, errorOfCaught(failure));
  return undefined;
});
