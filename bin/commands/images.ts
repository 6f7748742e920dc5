import type { Command } from 'commander';
import type { ImageView } from '../../functions/api/image-view.ts';
import { age, size, time } from '../format.ts';
import { type ApiOptions, apiCommand, show, wholeNumber } from '../options.ts';
import { listPoints, momentOf, whyNot } from '../restore-point.ts';
import { table } from '../table.ts';

interface ImagesOptions extends ApiOptions {
  readonly type?: string;
  readonly pool?: string;
  readonly limit: number;
}

export function imagesCommand(): Command {
  return apiCommand('images', 'List restore points: the images that can be brought back, newest first', [
    'images',
    'images web-1',
    'images web-1 --type daily --json',
  ])
    .argument('[vm]', 'of this VM: its UUID, or its name when the image was made')
    .option('--type <type>', 'backups of this type')
    .option('--pool <pool>', 'of VMs of this pool')
    .option('--limit <number>', 'at most so many', wholeNumber(1, 100_000), 50)
    .action(async (vm: string | undefined, { type, pool, limit, ...options }: ImagesOptions) => {
      const filter = {
        limit,
        ...(vm !== undefined && { vm }),
        ...(type !== undefined && { type }),
        ...(pool !== undefined && { pool }),
      };
      await show(
        options,
        async (client) => ({ images: await listPoints(client, filter) }),
        ({ images }) => imagesTable(images, vm, new Date()),
      );
    });
}

function imagesTable(images: readonly ImageView[], vm: string | undefined, now: Date): string {
  if (images.length === 0) return `No restore points${vm === undefined ? '' : ` of ${JSON.stringify(vm)}`}.`;
  return table(
    images.map((image) => ({
      IMAGE: image.id,
      NAME: image.name,
      VM: image.vm?.name ?? image.vm?.uuid ?? null,
      DEVICE: image.device,
      TYPE: image.backupType,
      TAKEN: time(momentOf(image)),
      AGE: age((now.getTime() - Date.parse(momentOf(image))) / 1000),
      SIZE: image.sizeBytes === null ? null : size(image.sizeBytes),
      DISK: image.virtualBytes === null ? null : size(image.virtualBytes),
      FORMAT: image.format,
      VERIFIED: image.verified ? 'yes' : 'no',
      TESTED: testedWord(image),
      BUT: butOf(image),
    })),
  );
}

/** How far the last test came, or what it failed with. */
function testedWord({ tested }: ImageView): string | null {
  return tested && (tested.reached ?? `failed: ${tested.failed}`);
}

/** What is to be known before it is restored, or deleted. */
function butOf(image: ImageView): string | null {
  if (image.refusal) return image.refusal.message;
  return whyNot(image) ?? (image.protected ? 'protected' : null);
}
