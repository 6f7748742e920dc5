import type { Session } from '../../xapi/session.ts';
import type { RestoreJob } from '../job.ts';
import { diskNameOf, vmConfigOf, vmNameOf } from '../restored.ts';
import { GONE, unlessGone } from './gone.ts';
import { disksMadeBy } from './restored-disk.ts';
import { vmsMadeBy } from './restored-vm.ts';
import { unblockStart } from './start-block.ts';
import { keysIn } from './tags.ts';

/**
 * Gives what a committed restore has made its own names and tags of the pool, lets it start, and takes the job's tags off,
 * each thing's last: what carries one still is to be finished, and begins anew with another run.
 */
export async function finishRestored(xapi: Session, job: RestoreJob, installation: string): Promise<void> {
  for (const { ref, uuid } of await disksMadeBy(xapi, job, installation)) {
    if (uuid !== job.diskUuid) continue;
    const { name, description } = diskNameOf(job);
    await unlessGone(xapi, { class: 'VDI', ref, uuid }, async (found) => {
      await xapi.call('VDI.set_name_label', found, name);
      await xapi.call('VDI.set_name_description', found, description);
      const { other_config } = await xapi.call('VDI.get_record', found);
      for (const key of keysIn(other_config, job.id))
        await xapi.call('VDI.remove_from_other_config', found, key);
    });
  }
  for (const { ref, record } of await vmsMadeBy(xapi, job, installation)) {
    if (record.uuid !== job.restoredVmUuid) continue;
    const done = await unlessGone(xapi, { class: 'VM', ref, uuid: record.uuid }, async (found) => {
      await xapi.call('VM.set_name_label', found, vmNameOf(job));
      await xapi.call('VM.set_tags', found, vmConfigOf(job)?.tags ?? []);
      await unblockStart(xapi, found, job.id);
      for (const key of keysIn(record.other_config, job.id))
        await xapi.call('VM.remove_from_other_config', found, key);
    });
    if (done === GONE) return;
  }
}
