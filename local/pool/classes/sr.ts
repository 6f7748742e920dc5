import { access } from 'node:fs/promises';
import { kickCollector } from '../sm/gc.ts';
import { forgetVdi } from '../sm/records.ts';
import { isThick, noteRoom, vhdVolumeBytes } from '../sm/room.ts';
import { type DiskFile, scanFolder } from '../sm/scan.ts';
import { srDestroyCalls } from '../sm/sr-destroy.ts';
import { assertAttached, rawPath, storageOf } from '../sm/storage.ts';
import type { Context, PoolState, Storage } from '../state.ts';

/**
 * Brings the database in step with the folder: sizes, `vhd-parent`, disks whose files came (any `.vhd` or `.qcow2` in it
 * becomes a VDI of its name) or went, which are forgotten. Kicks the coalescer (FileSR.py, SR.py's ScanRecord).
 * @throws XapiFailure SR_BACKEND_FAILURE_40 when any file of a disk in the folder is damaged, also a foreign one
 */
async function scan({ pool, task }: Context, sr: string): Promise<void> {
  const { db } = pool;
  db.row('SR', sr);
  assertAttached(pool, sr);
  const [busy] = Object.entries(db.map('SR', sr, 'current_operations'));
  const storage = pool.storage.get(sr);
  if (!storage) return;
  if (!busy) db.set('SR', sr, 'current_operations', { [task]: 'scan' });
  try {
    await storage.chains.run(() => synchronise(pool, storage));
  } finally {
    if (!busy) db.set('SR', sr, 'current_operations', {});
  }
  kickCollector(pool, storage);
}

async function synchronise(pool: PoolState, storage: Storage): Promise<void> {
  const { db } = pool;
  const files = await scanFolder(storage);
  const parents = new Set([...files.values()].map(({ parentUuid }) => parentUuid));
  // Deleted, and waiting for the coalescer to remove them: they are not to come back as new disks.
  for (const { uuid, hidden } of files.values()) if (hidden && !parents.has(uuid)) files.delete(uuid);
  const known = new Map(
    db.referrers('VDI', 'SR', storage.ref).map((vdi) => [db.text('VDI', vdi, 'uuid'), vdi]),
  );
  for (const [uuid, vdi] of known)
    if (!(files.has(uuid) || (await isRaw(storage, uuid)))) forgetVdi(pool, vdi);
  for (const file of files.values()) refresh(pool, storage, file, known.get(file.uuid));
  await noteRoom(pool, storage);
}

function isRaw(storage: Storage, uuid: string): Promise<boolean> {
  return access(rawPath(storage, uuid)).then(
    () => true,
    () => false,
  );
}

function refresh({ db }: PoolState, storage: Storage, file: DiskFile, known: string | undefined): void {
  const { uuid, hidden, virtualBytes, bytes, parentUuid } = file;
  const vdi =
    known ?? db.create('VDI', { uuid, location: uuid, SR: storage.ref, type: 'user', managed: !hidden });
  const { 'vhd-parent': _old, ...rest } = db.map('VDI', vdi, 'sm_config');
  const format = storage.qcow2.has(uuid) ? { 'image-format': 'qcow2' } : {};
  const parent = parentUuid === undefined ? {} : { 'vhd-parent': parentUuid };
  // On LVM, a disk that may be written to has room for all of it; what nobody writes to is shrunk.
  const isInflated = isThick(storage) && !hidden && !db.flag('VDI', vdi, 'is_a_snapshot');
  db.update('VDI', vdi, {
    virtual_size: String(virtualBytes),
    physical_utilisation: String(isInflated ? vhdVolumeBytes(virtualBytes) : bytes),
    sm_config: { ...rest, ...format, ...parent },
    ...(hidden && { managed: false }),
  });
}

export const srCalls = {
  ...srDestroyCalls,
  'SR.scan': (context: Context, sr: string) => scan(context, sr),
  'SR.update': (context: Context, sr: string) => noteRoom(context.pool, storageOf(context.pool, sr)),
};
