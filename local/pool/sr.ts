import { readdir } from 'node:fs/promises';
import { parse } from 'node:path';
import { XapiFailure } from './failure.ts';
import { kickCollector } from './gc.ts';
import type { Context, PoolState } from './state.ts';
import { assertAttached, diskPath, type Storage, storageOf } from './storage.ts';
import { openVhd, physicalBytes } from './vhd.ts';

const READERS = 8;

/**
 * Brings the database in step with the folder: sizes, `vhd-parent`, files that came (any `.vhd` or `.qcow2` in it becomes
 * a VDI of its name) and files that went. Kicks the coalescer.
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
    await storage.chains.run(() => readFolder(pool, storage));
  } finally {
    if (!busy) db.set('SR', sr, 'current_operations', {});
  }
  kickCollector(pool, storage);
}

async function readFolder(pool: PoolState, storage: Storage): Promise<void> {
  const { db } = pool;
  const files = (await readdir(storage.folder)).map((name) => parse(name));
  for (const { name, ext } of files) if (ext === '.qcow2') storage.qcow2.add(name);
  const uuids = files.filter(({ ext }) => ext === '.vhd' || ext === '.qcow2').map(({ name }) => name);
  const known = new Map(
    db.referrers('VDI', 'SR', storage.ref).map((vdi) => [db.text('VDI', vdi, 'uuid'), vdi]),
  );
  for (const [uuid, vdi] of known) {
    const isRaw = db.map('VDI', vdi, 'sm_config').type === 'raw';
    if (!isRaw && !uuids.includes(uuid) && db.flag('VDI', vdi, 'managed'))
      db.set('VDI', vdi, 'missing', true);
  }
  const refreshNext = async (): Promise<void> => {
    for (let uuid = uuids.shift(); uuid !== undefined; uuid = uuids.shift()) {
      await refresh(pool, storage, uuid, known.get(uuid));
    }
  };
  try {
    await Promise.all(Array.from({ length: READERS }, refreshNext));
  } catch (error) {
    throw new XapiFailure('SR_BACKEND_FAILURE_40', '', `The SR scan failed  [opterr=${error}]`, '');
  }
}

async function refresh(
  pool: PoolState,
  storage: Storage,
  uuid: string,
  known: string | undefined,
): Promise<void> {
  const { db } = pool;
  const path = diskPath(storage, uuid);
  const vhd = await openVhd(path);
  await vhd.close();
  const bytes = await physicalBytes(path);
  const vdi =
    known ??
    db.create('VDI', {
      uuid,
      location: uuid,
      SR: storage.ref,
      type: 'user',
      managed: !vhd.hidden,
      virtual_size: String(vhd.virtualBytes),
    });
  const { 'vhd-parent': _old, ...rest } = db.map('VDI', vdi, 'sm_config');
  const format = storage.qcow2.has(uuid) ? { 'image-format': 'qcow2' } : {};
  const parent = vhd.parentName === null ? {} : { 'vhd-parent': parse(vhd.parentName).name };
  db.update('VDI', vdi, {
    physical_utilisation: String(bytes),
    sm_config: { ...rest, ...format, ...parent },
  });
}

export const srCalls = {
  'SR.scan': (context: Context, sr: string) => scan(context, sr),
  'SR.update': (context: Context, sr: string) => void storageOf(context.pool, sr),
};
