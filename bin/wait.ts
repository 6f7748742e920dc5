import { ended } from '../functions/words.ts';
import { type AnyJob, pathOf } from './any-job.ts';
import type { ApiClient } from './client.ts';
import { CommandFailure } from './failures.ts';
import { followJob } from './follow.ts';
import { interruptible } from './interrupt.ts';
import { print } from './options.ts';
import { jobReport } from './report.ts';

/** Between two looks at an API elsewhere, where each is paid for. */
const REMOTE_SECONDS = 10;

/** What a command that asks for a job may do then. */
export interface AskedFor<J extends AnyJob> {
  readonly kind: 'snapshots' | 'restores';
  readonly job: J;
  /** What the job is to do, for people. */
  readonly what: string;
  readonly wait?: boolean | undefined;
  readonly json?: boolean | undefined;
}

/** Tells of a job that was just asked for, and follows it to its outcome if that is wanted. */
export async function tellOrWait<J extends AnyJob>(
  client: ApiClient,
  { kind, job, what, wait = false, json = false }: AskedFor<J>,
): Promise<void> {
  if (!wait) {
    const begun = `Job ${job.id} has begun: ${what}.\nFollow it with: xensnap job ${job.id} --wait`;
    return print(json ? JSON.stringify(job, null, 2) : begun);
  }
  if (!json) print(`Job ${job.id}: ${what}`);
  expectOutcome(await waitForJob(client, pathOf(kind, job.id), json), 'succeeded');
}

/** Follows the job at a path to its outcome and prints it. @throws Interrupted on Ctrl-C: the job goes on */
export async function waitForJob(client: ApiClient, path: string, json: boolean): Promise<AnyJob> {
  const getJob = () => client.get<AnyJob>(path);
  // With --json standard output has the document alone.
  const out = json ? process.stderr : process.stdout;
  const intervalSeconds = client.isLocal ? 1 : REMOTE_SECONDS;
  const id = decodeURIComponent(path.split('/').at(-1) ?? '');
  const job = await interruptible(`the job goes on; cancel it with: xensnap cancel ${id}`, (signal) =>
    followJob({ getJob, out, signal, intervalSeconds }),
  );
  print(json ? JSON.stringify(job, null, 2) : jobReport(job));
  return job;
}

/** @throws CommandFailure when the job ended otherwise than `wanted` */
export function expectOutcome(job: AnyJob, wanted: AnyJob['status']): void {
  if (job.status === wanted) return;
  const reason = job.error ? `: ${job.error.message}` : '';
  throw new CommandFailure(`the job ${job.id} ${ended(job.status)}${reason}`);
}
