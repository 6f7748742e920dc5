import { type Command, Option } from 'commander';
import type { RestoreView } from '../../functions/api/restore-view.ts';
import { JOB_STATUSES } from '../../functions/words.ts';
import { time } from '../format.ts';
import { waitWord } from '../job-waits.ts';
import { type ApiOptions, apiCommand, show, wholeNumber } from '../options.ts';
import { everyPage } from '../pages.ts';
import { table } from '../table.ts';

interface RestoresOptions extends ApiOptions {
  readonly image?: string;
  readonly pool?: string;
  readonly status?: string;
  readonly limit: number;
}

export function restoresCommand(): Command {
  return apiCommand('restores', 'List restores, newest first', [
    'restores',
    'restores --status running',
    'restores --pool berlin --limit 5 --json',
  ])
    .option('--image <id>', 'of this image')
    .option('--pool <pool>', 'into this pool')
    .addOption(new Option('--status <status>', 'that are in this state').choices(JOB_STATUSES))
    .option('--limit <number>', 'at most so many', wholeNumber(1, 100_000), 50)
    .action(async (options: RestoresOptions) => {
      const { limit, image, pool, status } = options;
      await show(
        options,
        async (client) => ({
          restores: await everyPage<'restores', RestoreView>(client, 'restores', {
            limit,
            image,
            pool,
            status,
          }),
        }),
        restoresTable,
      );
    });
}

function restoresTable({ restores }: { restores: readonly RestoreView[] }): string {
  if (restores.length === 0) return 'No restores.';
  return table(
    restores.map((job) => ({
      JOB: job.id,
      STATUS: job.status,
      PHASE: job.phase,
      '%': job.progress,
      IMAGE: job.image.name ?? job.image.id,
      VM: job.vm?.name ?? null,
      POOL: job.pool,
      'WAITS FOR': waitWord(job),
      BEGUN: time(job.createdAt),
      ERROR: job.error?.name ?? null,
    })),
  );
}
