import { type Command, Option } from 'commander';
import type { JobView } from '../../functions/api/view.ts';
import { IMAGE_FORMATS, QUIESCE } from '../../functions/words.ts';
import { createClient } from '../client.ts';
import { UsageFailure } from '../failures.ts';
import { printable } from '../format.ts';
import { type ApiOptions, apiCommand, keyValue, positiveNumber, wholeNumber } from '../options.ts';
import { guessingVm } from '../vm-guess.ts';
import { tellOrWait } from '../wait.ts';

/** What the request says beside the VM. */
interface Wish {
  readonly pool?: string;
  readonly name?: string;
  readonly quiesce?: string;
  readonly metadata?: Record<string, string>;
  readonly maxSizeGib?: number;
  readonly detached?: boolean;
  readonly force?: boolean;
  readonly format?: string;
  readonly device?: string;
  readonly flatten?: boolean;
  readonly backup?: string;
  readonly keep?: number;
}

interface SnapshotOptions extends Wish, ApiOptions {
  readonly wait?: boolean;
}

export function snapshotCommand(): Command {
  return apiCommand('snapshot', 'Take an image of a VM into Glance', [
    'snapshot web-1 --wait',
    'snapshot web-1 --name before-upgrade --quiesce prefer --metadata owner=ops --metadata ticket=4711',
    'snapshot web-1 --device 1 --flatten',
    'snapshot web-1 --backup daily --keep 7',
    'snapshot 0c7d2f4e-9f0b-4b0c-9d3e-0c9f5f6a7b8c --pool berlin --json',
  ])
    .argument('<vm>', 'UUID or name of the VM')
    .option('--pool <pool>', 'where several pools have such a VM')
    .option('--name <name>', "the image's name (default: the VM's and the time)")
    .addOption(
      new Option('--quiesce <wish>', 'whether the guest flushes its file systems first').choices(QUIESCE),
    )
    .option('--metadata <key=value>', 'a property of the image; may be repeated', keyValue)
    .option('--max-size-gib <gib>', 'refuse a disk whose virtual size is larger', positiveNumber)
    .option('--detached', 'do not tie the image to the VM')
    .option('--force', 'do not wait until the disk is coalesced')
    .addOption(
      new Option('--format <format>', 'a bundle of VHDs (default), or the bare disk, zeros and all').choices(
        IMAGE_FORMATS,
      ),
    )
    .option('--device <position>', 'the disk to be imaged (default: the one that the VM boots from)')
    .option('--flatten', 'one VHD that the pool flattens, in place of a chain; with the format vhd only')
    .option('--backup <type>', 'make it a backup, which replaces the oldest ones of its type; needs --keep')
    .option('--keep <n>', 'verified backups of the type that stay, this one included', wholeNumber(0, 10_000))
    .option('--wait', 'show the progress, and end when the job has')
    .action(async (vm: string, options: SnapshotOptions) => {
      if ((options.backup === undefined) !== (options.keep === undefined))
        throw new UsageFailure('--backup and --keep are given together: the type, and how many of it stay');
      const client = createClient(options);
      const job = await guessingVm(client, vm, () =>
        client.post<JobView>('/snapshots', { vm, ...wishOf(options) }),
      );
      const what = `an image of ${printable(job.vm.name)} in the pool ${job.pool}`;
      await tellOrWait(client, { kind: 'snapshots', job, what, wait: options.wait, json: options.json });
    });
}

function wishOf({ backup: type, keep, pool, name, quiesce, metadata, maxSizeGib, ...wish }: Wish): object {
  const { detached, force, format, device, flatten } = wish;
  const backup = type === undefined ? undefined : { type, keep };
  return { pool, name, quiesce, metadata, maxSizeGib, detached, force, format, device, flatten, backup };
}
