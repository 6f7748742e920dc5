import { type Command, Option } from 'commander';
import type { JobPage, JobView } from '../../functions/api/view.ts';
import { JOB_STATUSES } from '../../functions/words.ts';
import type { ApiClient } from '../client.ts';
import { time } from '../format.ts';
import { waitWord } from '../job-waits.ts';
import { type ApiOptions, apiCommand, show, wholeNumber } from '../options.ts';
import { table } from '../table.ts';

interface JobsOptions extends ApiOptions {
  readonly vm?: string;
  readonly status?: string;
  readonly limit: number;
}

/** What the API gives at a time. */
const PAGE = 100;

export function jobsCommand(): Command {
  return apiCommand('jobs', 'List jobs, newest first', [
    'jobs',
    'jobs --vm web-1 --limit 5',
    'jobs --status failed --json',
  ])
    .option('--vm <vm>', 'of this VM: its UUID, or its name when the job began')
    .addOption(new Option('--status <status>', 'that are in this state').choices(JOB_STATUSES))
    .option('--limit <number>', 'at most so many', wholeNumber(1, 100_000), 50)
    .action(async (options: JobsOptions) => {
      await show(options, (client) => listJobs(client, options), jobsTable);
    });
}

async function listJobs(
  client: ApiClient,
  { vm, status, limit }: JobsOptions,
): Promise<{ snapshots: JobView[] }> {
  const snapshots: JobView[] = [];
  let marker: string | null = null;
  do {
    const query = new URLSearchParams({
      limit: String(Math.min(PAGE, limit - snapshots.length)),
      ...(vm !== undefined && { vm }),
      ...(status !== undefined && { status }),
      ...(marker !== null && { marker }),
    });
    const page: JobPage = await client.get(`/snapshots?${query}`);
    snapshots.push(...page.snapshots);
    marker = page.next;
  } while (marker !== null && snapshots.length < limit);
  return { snapshots };
}

function jobsTable({ snapshots }: { snapshots: readonly JobView[] }): string {
  if (snapshots.length === 0) return 'No jobs.';
  return table(
    snapshots.map((job) => ({
      JOB: job.id,
      STATUS: job.status,
      PHASE: job.phase,
      '%': job.progress,
      VM: job.vm.name,
      POOL: job.pool,
      HOST: job.host,
      'WAITS FOR': waitWord(job),
      BEGUN: time(job.createdAt),
      ERROR: job.error?.name ?? null,
    })),
  );
}
