import { mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Host, PoolState, Storage } from '../state.ts';
import { isThick } from './room.ts';
import { storageOf } from './storage.ts';

/** Where a control domain's plugins are told how large a device's file may grow, by the disk's UUID. */
const ROOM_FOLDER = 'sys/room';

/**
 * Says how much of a thin disk's device can be written before its SR is full. A plugin that the pool runs gets EIO for
 * more, as from a tapdisk that finds no space (full_device.py); the file itself knows no bounds.
 */
export async function noteDeviceRoom(
  pool: PoolState,
  { dom0Root }: Host,
  vdi: string,
  device: string,
): Promise<void> {
  const storage = storageOf(pool, pool.db.text('VDI', vdi, 'SR'));
  const note = join(dom0Root, ROOM_FOLDER, basename(device));
  if (isThick(storage) || storage.freeBytes === Number.POSITIVE_INFINITY) {
    await rm(note, { force: true });
    return;
  }
  await mkdir(join(dom0Root, ROOM_FOLDER), { recursive: true });
  const { blocks } = await stat(device);
  await writeFile(note, String(blocks * 512 + storage.freeBytes));
}

/** The same for all that is plugged, after what is free has changed. */
export async function noteRoomOfDevices(pool: PoolState, storage: Storage): Promise<void> {
  const { db } = pool;
  for (const host of pool.hosts) {
    for (const vbd of db.referrers('VBD', 'VM', db.text('host', host.ref, 'control_domain'))) {
      const vdi = db.text('VBD', vbd, 'VDI');
      if (!db.has('VDI', vdi) || db.text('VDI', vdi, 'SR') !== storage.ref) continue;
      const device = join(host.dom0Root, 'dev', db.text('VBD', vbd, 'device'));
      if (db.flag('VBD', vbd, 'currently_attached') && db.text('VBD', vbd, 'device') !== '')
        await noteDeviceRoom(pool, host, vdi, device);
    }
  }
}
