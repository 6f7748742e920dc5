import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';
import { isFinished, type Job, type RestoreJob, type SnapshotJob } from '../../functions/job.ts';
import type { LocalService } from '../../local/service.ts';

/** Whether nothing more will happen to a job. */
export const isSettled = (job: Job): boolean => isFinished(job) && job.open === undefined;

/** Resolves at the next answer of a table in this process to a write, or after a while in which there is none. */
function nextWrite(): Promise<void> {
  return new Promise((resolve) => {
    const over = () => {
      unsubscribe(ANSWERED, look);
      clearTimeout(timer);
      resolve();
    };
    const look = (answered: unknown) => {
      const target = (answered as { request: IncomingMessage }).request.headers['x-amz-target'];
      if (/^DynamoDB\w+\.(Put|Update|Delete)Item$/.test(String(target))) over();
    };
    const timer = setTimeout(over, 250);
    subscribe(ANSWERED, look);
  });
}

const ANSWERED = 'http.server.response.finish';

/** Looks at a job whenever something is written, until `until` holds. The test's own timeout ends it otherwise. */
export function jobWhen(
  service: LocalService,
  jobId: string,
  until: (job: SnapshotJob) => boolean,
): Promise<SnapshotJob> {
  return when(() => service.runtime.store.jobs.snapshot(jobId), until);
}

/** The same for a restore. */
export function restoreWhen(
  service: Pick<LocalService, 'runtime'>,
  jobId: string,
  until: (job: RestoreJob) => boolean,
): Promise<RestoreJob> {
  return when(() => service.runtime.store.jobs.restore(jobId), until);
}

async function when<J extends Job>(
  read: () => Promise<J | undefined>,
  until: (job: J) => boolean,
): Promise<J> {
  for (;;) {
    // Listens from before the look, so that no write is missed.
    const written = nextWrite();
    const job = await read();
    if (job && until(job)) return job;
    await written;
  }
}
