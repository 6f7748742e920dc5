import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RestoreJob } from '../../functions/job.ts';
import { destroyKept } from '../../functions/kept-disks.ts';
import { requestRestore } from '../../functions/restore-request.ts';
import type { RestoreWish } from '../../functions/restore-wish.ts';
import { undoRestore } from '../../functions/undo-restore.ts';
import type { SimulatedPool } from '../../local/pool/pool.ts';
import type { LocalService } from '../../local/service.ts';
import { isSettled, restoreWhen } from './job-when.ts';
import { POOL_NAME } from './servers.ts';
import { readChain } from './vhd-reader.ts';

/** Asks for a restore; answers the job's id. */
export async function askRestore(
  { runtime }: Pick<LocalService, 'runtime'>,
  image: string,
  more: Omit<RestoreWish, 'image'> = {},
): Promise<string> {
  const { job } = await requestRestore({ image, ...more }, runtime);
  return job.id;
}

/** A restore once `until` holds; by default once it is finished and nothing is owed. */
export function restored(
  service: Pick<LocalService, 'runtime'>,
  jobId: string,
  until: (job: RestoreJob) => boolean = isSettled,
): Promise<RestoreJob> {
  return restoreWhen(service, jobId, until);
}

/** Takes away what a restore has brought back, so that nothing is left behind. */
export async function takeAway({ runtime }: Pick<LocalService, 'runtime'>, job: RestoreJob): Promise<void> {
  if (job.into) return takeAwayFrom(job.into.uuid, { runtime }, job);
  await runtime.withSession(POOL_NAME, async (xapi) => {
    if (job.restoredVmUuid !== undefined) {
      const vm = await xapi.call('VM.get_by_uuid', job.restoredVmUuid);
      if ((await xapi.call('VM.get_power_state', vm)) !== 'Halted') await xapi.call('VM.hard_shutdown', vm);
      await xapi.call('VM.destroy', vm);
    }
    if (job.diskUuid !== undefined)
      await xapi.call('VDI.destroy', await xapi.call('VDI.get_by_uuid', job.diskUuid));
  });
}

const BLOCK_BYTES = 2 ** 21;

/** Whether the file of a restored disk in its SR holds these bytes, and zeros behind them: an SR rounds sizes up. */
export async function holdsExactly(
  { srs }: Pick<SimulatedPool, 'srs'>,
  { srUuid, diskUuid }: RestoreJob,
  bytes: Buffer,
): Promise<boolean> {
  const folder = srs.find(({ uuid }) => uuid === srUuid)?.folder ?? '';
  const [name = ''] = (await readdir(folder)).filter((each) => each.startsWith(diskUuid ?? 'none'));
  const path = join(folder, name);
  const disk = name.endsWith('.raw') ? await readFile(path) : await ofVhd(path, bytes.length);
  const zeros = Buffer.alloc(disk.length - bytes.length);
  return disk.equals(Buffer.concat([bytes, zeros]));
}

/** The disk as far as the blocks that so many bytes take, behind which it must have none. */
async function ofVhd(path: string, bytes: number): Promise<Buffer> {
  const chain = await readChain([path]);
  const { virtualBytes = 0, blocks = [] } = chain.layers[0] ?? {};
  const count = Math.ceil(bytes / BLOCK_BYTES);
  if (blocks.slice(count).some((at) => at !== undefined))
    throw new Error(`${path} holds more than it should`);
  return chain.read(0, Math.min(virtualBytes, count * BLOCK_BYTES));
}

/** Has the VM as it was: with its own disk, and running if it ran. */
async function takeAwayFrom(vmUuid: string, { runtime }: Pick<LocalService, 'runtime'>, job: RestoreJob) {
  const power = (wanted: 'Halted' | 'Running') =>
    runtime.withSession(POOL_NAME, async (xapi) => {
      const vm = await xapi.call('VM.get_by_uuid', vmUuid);
      if ((await xapi.call('VM.get_power_state', vm)) === wanted) return;
      await (wanted === 'Halted'
        ? xapi.call('VM.hard_shutdown', vm)
        : xapi.call('VM.start', vm, false, false));
    });
  await power('Halted');
  await undoRestore(job.id, {}, runtime);
  await destroyKept(job.id, runtime);
  if (job.vmBefore?.running) await power('Running');
}
