import type { RestoreJob } from '../../functions/job.ts';
import { type RestoreWish, requestRestore } from '../../functions/restore-request.ts';
import type { LocalService } from '../../local/service.ts';
import { takeAway as destroyRestored } from '../../local/take-away.ts';
import { isSettled, restoreWhen } from './job-when.ts';
import { POOL_NAME } from './servers.ts';

/** Asks for a restore; answers the job's id. */
export async function askRestore(
  { runtime }: Pick<LocalService, 'runtime'>,
  image: string,
  more: Omit<RestoreWish, 'image'> = {},
): Promise<string> {
  const { job } = await requestRestore({ image, ...more }, runtime);
  return job.id;
}

/** A restore once `until` holds; by default once it is finished and nothing is owed. */
export function restored(
  service: Pick<LocalService, 'runtime'>,
  jobId: string,
  until: (job: RestoreJob) => boolean = isSettled,
): Promise<RestoreJob> {
  return restoreWhen(service, jobId, until);
}

/** Takes away what a restore has brought back, so that nothing is left behind. */
export async function takeAway({ runtime }: Pick<LocalService, 'runtime'>, job: RestoreJob): Promise<void> {
  const made = { vm: job.restoredVmUuid, disk: job.diskUuid };
  await runtime.withSession(POOL_NAME, (xapi) => destroyRestored(xapi, made));
}
