import { type Command, Option } from 'commander';
import type { JobView } from '../../functions/api/view.ts';
import { JOB_STATUSES } from '../../functions/words.ts';
import { time } from '../format.ts';
import { waitWord } from '../job-waits.ts';
import { type ApiOptions, apiCommand, show, wholeNumber } from '../options.ts';
import { everyPage } from '../pages.ts';
import { table } from '../table.ts';

interface JobsOptions extends ApiOptions {
  readonly vm?: string;
  readonly status?: string;
  readonly limit: number;
}

export function jobsCommand(): Command {
  return apiCommand('jobs', 'List snapshots, newest first; restores lists the others', [
    'jobs',
    'jobs --vm web-1 --limit 5',
    'jobs --status failed --json',
  ])
    .option('--vm <vm>', 'of this VM: its UUID, or its name when the job began')
    .addOption(new Option('--status <status>', 'that are in this state').choices(JOB_STATUSES))
    .option('--limit <number>', 'at most so many', wholeNumber(1, 100_000), 50)
    .action(async (options: JobsOptions) => {
      const { limit, vm, status } = options;
      await show(
        options,
        async (client) => ({
          snapshots: await everyPage<'snapshots', JobView>(client, 'snapshots', { limit, vm, status }),
        }),
        (answer) => jobsTable(answer, vm),
      );
    });
}

function jobsTable({ snapshots }: { snapshots: readonly JobView[] }, vm: string | undefined): string {
  if (snapshots.length === 0) return `No snapshots${vm === undefined ? '' : ` of ${JSON.stringify(vm)}`}.`;
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
