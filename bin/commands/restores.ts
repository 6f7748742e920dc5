import { type Command, Option } from 'commander';
import type { KeptDisksView } from '../../functions/api/kept-view.ts';
import type { RestoreView } from '../../functions/api/restore-view.ts';
import { JOB_STATUSES } from '../../functions/words.ts';
import { UsageFailure } from '../failures.ts';
import { size, time } from '../format.ts';
import { waitWord } from '../job-waits.ts';
import { type ApiOptions, apiCommand, show, wholeNumber } from '../options.ts';
import { everyPage } from '../pages.ts';
import { isImageId } from '../restore-point.ts';
import { table } from '../table.ts';

interface RestoresOptions extends ApiOptions {
  readonly image?: string;
  readonly pool?: string;
  readonly status?: string;
  readonly limit: number;
  /** The disks that restores have kept, in the place of the restores. */
  readonly kept?: boolean;
}

export function restoresCommand(): Command {
  return apiCommand('restores', 'List restores, newest first', [
    'restores',
    'restores --status running',
    'restores --pool berlin --limit 5 --json',
    'restores --kept',
  ])
    .option('--image <id>', 'of this image')
    .option('--pool <pool>', 'into this pool')
    .addOption(new Option('--status <status>', 'that are in this state').choices(JOB_STATUSES))
    .option('--limit <number>', 'at most so many', wholeNumber(1, 100_000), 50)
    .addOption(
      new Option('--kept', 'the disks that restores into VMs have taken out of them').conflicts([
        'image',
        'pool',
        'status',
        'limit',
      ]),
    )
    .action(async (options: RestoresOptions) => {
      if (options.kept) {
        await show(options, (client) => client.get<KeptDisksView>('/restores/kept'), keptTable);
        return;
      }
      const { limit, image, pool, status } = options;
      if (image !== undefined && !isImageId(image))
        throw new UsageFailure(`--image takes an image's id, and ${JSON.stringify(image)} is none`);
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
      AS: kindOf(job),
      IMAGE: job.image.name ?? job.image.id,
      VM: job.vm?.name ?? null,
      POOL: job.pool,
      'WAITS FOR': waitWord(job),
      BEGUN: time(job.createdAt),
      ERROR: job.error?.name ?? null,
    })),
  );
}

/** What was to come of it. */
function kindOf({ test, into, disksOnly }: RestoreView): string {
  if (test) return 'test';
  if (into) return 'into VM';
  return disksOnly ? 'disk' : 'VM';
}

/** Destroys a kept disk, which nothing else ever does. */
export function destroyKeptCommand(): Command {
  return apiCommand('destroy-kept', 'Destroy the disk that a restore into a VM has kept', [
    'restores --kept',
    'destroy-kept 9d2b7c1e-5b0a-4a53-8b8e-1f3f3a1b6c44',
  ])
    .argument('<job>', "the restore's job")
    .action(async (job: string, options: ApiOptions) => {
      await show(
        options,
        async (client) => {
          await client.delete(`/restores/${encodeURIComponent(job)}/kept`);
          return { destroyed: true };
        },
        () => `The disk that the restore ${job} has kept is gone.`,
      );
    });
}

function keptTable({ kept, gaps }: KeptDisksView): string {
  const rows = table(
    kept.map((disk) => ({
      JOB: disk.restore,
      NAME: disk.name,
      SIZE: size(disk.virtualBytes),
      POOL: disk.pool,
      'OF VM': disk.vmUuid,
      DEVICE: disk.device,
      SINCE: time(disk.since),
      DISK: disk.uuid,
    })),
  );
  const missing = gaps.map(({ pool, message }) => `The pool ${pool} is left out: ${message}`);
  return [kept.length === 0 ? 'No kept disks.' : rows, ...missing].join('\n');
}
