import type { Session } from '../../xapi/session.ts';
import type { StepDeps } from '../step.ts';
import { eachAlone } from './each-alone.ts';
import { byUuid, unlessGone, unlessUnknown } from './gone.ts';
import { tagsIn } from './tags.ts';

/** Destroys a xapi secret; one that is gone is fine. */
export async function destroySecret(xapi: Session, secretUuid: string): Promise<void> {
  const ref = await byUuid(xapi, 'secret', secretUuid);
  if (ref === undefined) return;
  await unlessGone(xapi, { class: 'secret', ref, uuid: secretUuid }, (found) =>
    xapi.call('secret.destroy', found),
  );
}

/**
 * Destroys the secrets of a job by their tags, without reading a value: for one that was made, but whose UUID a lost
 * reply or a crash kept off the record.
 */
export async function destroySecretsOfJob(xapi: Session, jobId: string): Promise<void> {
  await eachAlone(await xapi.call('secret.get_all'), (ref) =>
    unlessUnknown('secret', ref, async () => {
      const tags = tagsIn(await xapi.call('secret.get_other_config', ref));
      if (!tags.some((tag) => tag.jobId === jobId)) return;
      await destroySecret(xapi, await xapi.call('secret.get_uuid', ref));
    }),
  );
}

/** Sees to it that the token is no longer in xapi, if the job owes that. Pays `secret`. */
export async function paySecret({
  job,
  store,
  xapi,
}: Pick<StepDeps, 'job' | 'store' | 'xapi'>): Promise<void> {
  if (!job.debts?.has('secret')) return;
  if (job.secretUuid !== undefined) await destroySecret(xapi, job.secretUuid);
  else await destroySecretsOfJob(xapi, job.id);
  await store.jobs.pay(job.id, 'secret');
}
