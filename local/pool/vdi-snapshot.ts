import { randomUUID } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { XapiFailure } from './failure.ts';
import type { Context, PoolState } from './state.ts';
import { diskLock, diskPath, type Storage, storageOf } from './storage.ts';
import { updateAllowedVdiOperations, withVdiOperation } from './vdi.ts';
import { createChildVhd, physicalBytes, setHidden } from './vhd.ts';

const LONGEST_CHAIN = 30;

/** How many files a disk's chain has, by the database. */
function chainDepth({ db }: PoolState, vdi: string): number {
  let depth = 0;
  for (let at: string | undefined = vdi; at !== undefined; depth += 1) {
    const parent: string | undefined = db.map('VDI', at, 'sm_config')['vhd-parent'];
    at = parent === undefined ? undefined : db.byUuid('VDI', parent);
  }
  return depth;
}

/**
 * Snapshots a disk: its file becomes a base copy under a new UUID, hidden; the disk, under the UUID it had, and the
 * snapshot become empty children of it (SM's FileSR, SNAPSHOT_DOUBLE).
 */
export function snapshotVdi(context: Context, vdi: string): Promise<string> {
  const { pool } = context;
  return withVdiOperation(context, vdi, 'snapshot', async () => {
    const storage = storageOf(pool, pool.db.text('VDI', vdi, 'SR'));
    if (storage.type === 'rawhba') throw new XapiFailure('SR_OPERATION_NOT_SUPPORTED', storage.ref);
    if (pool.db.map('VDI', vdi, 'sm_config').type === 'raw')
      throw new XapiFailure('UNIMPLEMENTED_IN_SM_BACKEND', storage.ref);
    // Files and records change under one lock, so that no scan sees a file that has no record yet.
    const snapshot = await storage.chains.run(async () => {
      if (chainDepth(pool, vdi) >= LONGEST_CHAIN) {
        throw new XapiFailure('SR_BACKEND_FAILURE_109', '', 'The snapshot chain is too long', '');
      }
      if (storage.full) throw new XapiFailure('SR_BACKEND_FAILURE_44', '', 'There is insufficient space', '');
      return splitDisk(pool, storage, vdi);
    });
    updateAllowedVdiOperations(pool, snapshot);
    return snapshot;
  });
}

async function splitDisk(pool: PoolState, storage: Storage, vdi: string): Promise<string> {
  const { db, models, clock } = pool;
  const [uuid, baseUuid, snapshotUuid] = [db.text('VDI', vdi, 'uuid'), randomUUID(), randomUUID()];
  if (storage.qcow2.has(uuid)) storage.qcow2.add(baseUuid).add(snapshotUuid);
  await diskLock(storage, uuid).run(async () => {
    await splitFile(storage, uuid, baseUuid, snapshotUuid);
    await models.freeze(uuid, snapshotUuid, baseUuid);
  });
  const bytes = (each: string): Promise<string> => physicalBytes(diskPath(storage, each)).then(String);
  const [baseBytes, snapshotBytes] = [await bytes(baseUuid), await bytes(snapshotUuid)];
  const record = db.record('VDI', vdi);
  // SM's key for the parent is the same whatever the format.
  const { 'vhd-parent': grandparent, ...smConfig } = db.map('VDI', vdi, 'sm_config');
  const format = smConfig['image-format'] === undefined ? {} : { 'image-format': smConfig['image-format'] };
  db.set('VDI', vdi, 'sm_config', { ...smConfig, 'vhd-parent': baseUuid });
  const common = { SR: storage.ref, virtual_size: record.virtual_size ?? '0', type: record.type ?? 'user' };
  db.create('VDI', {
    ...common,
    uuid: baseUuid,
    location: baseUuid,
    name_label: 'base copy',
    read_only: true,
    managed: false,
    physical_utilisation: baseBytes,
    sm_config: grandparent === undefined ? format : { ...format, 'vhd-parent': grandparent },
  });
  return db.create('VDI', {
    ...common,
    uuid: snapshotUuid,
    location: snapshotUuid,
    name_label: record.name_label ?? '',
    name_description: record.name_description ?? '',
    sharable: record.sharable ?? false,
    other_config: record.other_config ?? {},
    xenstore_data: record.xenstore_data ?? {},
    tags: pool.settings.release.copiesTagsOfDisks ? (record.tags ?? []) : [],
    on_boot: 'persist',
    managed: true,
    physical_utilisation: snapshotBytes,
    sm_config: { ...format, 'vhd-parent': baseUuid },
    is_a_snapshot: true,
    snapshot_of: vdi,
    snapshot_time: clock.now(),
  });
}

async function splitFile(
  storage: Storage,
  uuid: string,
  baseUuid: string,
  snapshotUuid: string,
): Promise<void> {
  const [live, base, snapshot] = [
    diskPath(storage, uuid),
    diskPath(storage, baseUuid),
    diskPath(storage, snapshotUuid),
  ];
  // A file's own UUID is not its name, and stays when the file is renamed; files carry real time, as their mtimes do.
  const child = () => ({ uuid: randomUUID(), parentPath: base, createdAt: new Date() });
  await rename(live, base);
  try {
    await createChildVhd(`${live}.new`, child());
    await createChildVhd(snapshot, child());
    await rename(`${live}.new`, live);
  } catch (error) {
    for (const file of [`${live}.new`, snapshot]) await rm(file, { force: true });
    await rename(base, live);
    throw new XapiFailure('SR_BACKEND_FAILURE_82', '', `Failed to snapshot VDI [opterr=${error}]`, '');
  }
  await setHidden(base, true);
}
