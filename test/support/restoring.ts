import type { RestoreJob } from '../../functions/job.ts';
import { type RestoreWish, requestRestore } from '../../functions/restore-request.ts';
import type { LocalService } from '../../local/service.ts';
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

/** Takes away what a restore has brought back, as an operator would, so that nothing is left behind. */
export async function takeAway({ runtime }: Pick<LocalService, 'runtime'>, job: RestoreJob): Promise<void> {
  await runtime.withSession(POOL_NAME, async (xapi) => {
    if (job.restoredVmUuid !== undefined) {
      const vm = await xapi.call('VM.get_by_uuid', job.restoredVmUuid);
      if ((await xapi.call('VM.get_power_state', vm)) !== 'Halted') await xapi.call('VM.hard_shutdown', vm);
      await xapi.call('VM.destroy', vm);
    }
    if (job.diskUuid !== undefined)
      await xapi.call('VDI.destroy', await xapi.call('VDI.get_by_uuid', job.diskUuid));
  });
}
