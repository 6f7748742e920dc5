import { settleFooter } from '../../vhd/tapdisk.ts';
import type { PoolState, Storage } from '../state.ts';
import { noteSmConfig, smConfig, vdiOfUuid } from './records.ts';
import { diskLock, diskPath, storageOf } from './storage.ts';

/** Whether a tapdisk has the disk open for writing: some host says so in `sm_config`, and it is not paused. */
export function isOpen(pool: PoolState, vdi: string): boolean {
  const config = smConfig(pool, vdi);
  const isAttached = Object.entries(config).some(([key, mode]) => key.startsWith('host_') && mode === 'RW');
  return isAttached && config.paused === undefined;
}

/** Leaves the end of the disk's file as its tapdisk has it. Needs the disk's lock. */
export function settleDisk(pool: PoolState, vdi: string): void {
  const storage = storageOf(pool, pool.db.text('VDI', vdi, 'SR'));
  settleFooter(diskPath(storage, pool.db.text('VDI', vdi, 'uuid')), isOpen(pool, vdi));
}

/** The disk has been attached or detached. Whoever is at work on its file settles that afterwards. */
export function diskAttachmentChanged(pool: PoolState, vdi: string): void {
  const storage = pool.storage.get(pool.db.text('VDI', vdi, 'SR'));
  if (!storage || smConfig(pool, vdi).type === 'raw') return;
  if (!diskLock(storage, pool.db.text('VDI', vdi, 'uuid')).isTaken) settleDisk(pool, vdi);
}

/** Stops the disk's tapdisk (sm's blktap2.py, tap_pause): the guest's writes wait, and the file is closed. */
export async function pauseDisk(pool: PoolState, storage: Storage, uuid: string): Promise<void> {
  const held = await diskLock(storage, uuid).acquire();
  storage.paused.set(uuid, held);
  const vdi = vdiOfUuid(pool, uuid);
  if (vdi === undefined) return;
  noteSmConfig(pool, vdi, 'paused', 'true');
  settleDisk(pool, vdi);
}

/** Lets it go on, with the file that now has the disk's name. */
export function unpauseDisk(pool: PoolState, storage: Storage, uuid: string): void {
  const vdi = vdiOfUuid(pool, uuid);
  noteSmConfig(pool, vdi, 'paused', undefined);
  if (vdi !== undefined) settleDisk(pool, vdi);
  storage.paused.get(uuid)?.[Symbol.dispose]();
  storage.paused.delete(uuid);
}
