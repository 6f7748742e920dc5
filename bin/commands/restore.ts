import { type Command, Option } from 'commander';
import type { RestoreView } from '../../functions/api/restore-view.ts';
import { MAC_POLICIES } from '../../functions/words.ts';
import { type ApiClient, createClient } from '../client.ts';
import { UsageFailure } from '../failures.ts';
import { printable } from '../format.ts';
import { moment } from '../moment.ts';
import { type ApiOptions, apiCommand, keyValue, print, show } from '../options.ts';
import { chosenText, isImageId, pointBefore, pointNamed } from '../restore-point.ts';
import { tellOrWait } from '../wait.ts';

/** What the request says beside the image. */
interface Wish {
  readonly pool?: string;
  readonly sr?: string;
  readonly name?: string;
  readonly network?: Record<string, string>;
  readonly macs?: string;
  readonly start?: boolean;
  readonly disksOnly?: boolean;
  readonly test?: boolean;
  readonly boot?: boolean;
  readonly into?: string;
  readonly device?: string;
  readonly shutdown?: boolean;
}

interface RestoreOptions extends Wish, ApiOptions {
  /** Which image, where the command does not name it. */
  readonly vm?: string;
  readonly at?: Date;
  readonly wait?: boolean;
  /** The restore that is to be undone, in the place of all that. */
  readonly undo?: string;
}

export function restoreCommand(): Command {
  return apiCommand('restore', 'Bring an image back into a pool, as a new VM or into one that is there', [
    'restore before-upgrade --name web-1-restored --wait',
    'restore 4b1f7a52-6d0e-4c39-8f5a-2f6f1f0f9f11 --sr fast --network 0=front --macs new --start',
    'restore --vm web-1 --at 2026-11-20T02:00 --wait',
    'restore --vm web-1 --disks-only',
    'restore --vm web-1 --test --boot --wait',
    'restore --vm web-1 --into web-1 --shutdown --wait',
    'restore --undo 9d2b7c1e-5b0a-4a53-8b8e-1f3f3a1b6c44',
  ])
    .argument('[image]', "the image's id, or its name where only one has it; without it, --vm says which")
    .option(
      '--vm <vm>',
      'the newest verified restore point of this VM: its UUID, or the name that it had then',
    )
    .option(
      '--at <moment>',
      'with --vm: the newest from before this moment (2026-11-20, 2026-11-20T02:00, with Z for UTC)',
      moment,
    )
    .option('--pool <pool>', 'where to (default: the pool that the image is from)')
    .option('--sr <sr>', "UUID or name (default: the one that the disk was on, else the pool's default)")
    .option('--name <name>', 'of the VM and its disk (default: those that they had)')
    .option(
      '--network <device=network>',
      'the network, UUID or name, that the interface at this position is to be on; may be repeated',
      keyValue,
    )
    .addOption(
      new Option(
        '--macs <policy>',
        'MAC addresses: auto (default) keeps them if no VM of any pool has one of them',
      ).choices(MAC_POLICIES),
    )
    .option('--start', 'start the VM in the end; with --into one that was halted, too')
    .addOption(new Option('--disks-only', 'make the disk alone').conflicts(['start', 'network', 'macs']))
    .addOption(
      new Option(
        '--test',
        'prove that it can be restored, say so on the image, and destroy what was made',
      ).conflicts(['name', 'network', 'macs', 'start', 'disksOnly', 'into']),
    )
    .option('--boot', 'with --test: the VM must start, and its guest tools be seen')
    .addOption(
      new Option(
        '--into <vm>',
        'exchange the disk of this VM, its UUID or name; the disk that it had is kept',
      ).conflicts(['name', 'network', 'macs', 'disksOnly']),
    )
    .option('--device <position>', 'with --into: which of its disks (default: the one that it boots from)')
    .option('--shutdown', 'with --into: ask a running VM to shut down when the disk is there')
    .option('--undo <job>', 'give the VM of that restore the disk back that it had before')
    .option('--wait', 'show the progress, and end when the job has')
    .action(async (image: string | undefined, options: RestoreOptions) => {
      if (options.undo !== undefined) {
        await undo(options.undo, image, options);
        return;
      }
      refuseAlone(options);
      if (image !== undefined && options.vm !== undefined)
        throw new UsageFailure('give either an image, or --vm: that takes the newest image of the VM');
      if (image === undefined && options.vm === undefined)
        throw new UsageFailure('name an image, or with --vm the VM whose newest restore point it is to be');
      if (options.at && options.vm === undefined)
        throw new UsageFailure('--at goes with --vm: an image is of one time alone');
      const { json, wait } = options;
      const client = createClient(options);
      const id =
        image !== undefined && isImageId(image)
          ? image.toLowerCase()
          : await chosenId(client, image, options);
      const job = await client.post<RestoreView>('/restores', { image: id, ...wishOf(options) });
      const what = aimOf(job, options);
      await tellOrWait(client, { kind: 'restores', job, what, wait, json });
    });
}

/** Refuses what says more of something that was not asked for. */
function refuseAlone({ into, device, shutdown, test, boot }: Wish): void {
  const [alone] = Object.entries({ device, shutdown }).find(([, value]) => value !== undefined) ?? [];
  if (alone !== undefined && into === undefined) throw new UsageFailure(`--${alone} goes with --into`);
  if (boot && !test) throw new UsageFailure('--boot goes with --test; --start starts a VM that stays');
}

/** What the job is to do, for people. */
function aimOf({ image, pool, vm }: RestoreView, { test, into, disksOnly }: Wish): string {
  if (test) return `a test of restoring the image ${image.id} in the pool ${pool}`;
  const of = `the image ${image.id} is restored`;
  if (into !== undefined) return `${of} into the VM ${printable(vm?.name ?? into)} of the pool ${pool}`;
  return `${of} as a new ${disksOnly ? 'disk' : 'VM'} in the pool ${pool}`;
}

/** Exchanges the disks back. Nothing else goes with it. */
async function undo(
  job: string,
  image: string | undefined,
  { vm, at: before, ...options }: RestoreOptions,
): Promise<void> {
  const others = Object.values({ image, vm, before, ...wishOf(options) });
  if (others.some((value) => value !== undefined))
    throw new UsageFailure('--undo takes the job alone, and no other option of a restore');
  await show(
    options,
    (client) => client.post<RestoreView>(`/restores/${encodeURIComponent(job)}/undo`, {}),
    ({ vm }) =>
      `${vm?.name} has the disk back that it had before. The one that was restored is kept: "xensnap restores --kept" lists it, "xensnap destroy-kept ${job}" destroys it.`,
  );
}

/** The id of the image of that name, or else of the VM's; says which it is. */
async function chosenId(
  client: ApiClient,
  name: string | undefined,
  { vm = '', at: before, device, json }: RestoreOptions,
): Promise<string> {
  const point =
    name === undefined ? await pointBefore(client, { vm, before, device }) : await pointNamed(client, name);
  if (!json) print(chosenText(point));
  return point.id;
}

function wishOf({ network: networks, ...wish }: Wish): object {
  const { pool, sr, name, macs, start, disksOnly, test, boot, into, device, shutdown } = wish;
  return { pool, sr, name, networks, macs, start, disksOnly, test, boot, into, device, shutdown };
}
