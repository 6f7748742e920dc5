import type { JobView } from '../functions/api/view.ts';
import type { ApiClient } from './client.ts';
import { CommandFailure } from './failures.ts';
import { followJob } from './follow.ts';
import { interruptible } from './interrupt.ts';
import { print } from './options.ts';
import { jobReport } from './report.ts';

/** Between two looks at an API elsewhere, where each is paid for. */
const REMOTE_SECONDS = 10;

/** Follows a job to its outcome and prints it. @throws Interrupted on Ctrl-C: the job goes on */
export async function waitForJob(client: ApiClient, jobId: string, json: boolean): Promise<JobView> {
  const getJob = () => client.get<JobView>(`/snapshots/${encodeURIComponent(jobId)}`);
  // With --json standard output has the document alone.
  const out = json ? process.stderr : process.stdout;
  const intervalSeconds = client.isLocal ? 1 : REMOTE_SECONDS;
  const job = await interruptible(`the job goes on; cancel it with: xensnap cancel ${jobId}`, (signal) =>
    followJob({ getJob, out, signal, intervalSeconds }),
  );
  print(json ? JSON.stringify(job, null, 2) : jobReport(job));
  return job;
}

/** @throws CommandFailure when the job ended otherwise than `wanted` */
export function expectOutcome(job: JobView, wanted: JobView['status']): void {
  if (job.status === wanted) return;
  const reason = job.error ? `: ${job.error.message}` : '';
  throw new CommandFailure(`the job ${job.id} ended ${job.status}${reason}`);
}
