import { randomUUID } from 'node:crypto';
import { physicalBytes } from '../../vhd/vhd.ts';
import { XapiFailure } from '../failure.ts';
import { pauseDisk, unpauseDisk } from '../sm/blktap.ts';
import { settleDevices } from '../sm/devices.ts';
import { noteSmConfig, smConfig } from '../sm/records.ts';
import { chainOfFiles } from '../sm/scan.ts';
import { splitFile } from '../sm/split-file.ts';
import { diskPath, storageOf } from '../sm/storage.ts';
import type { Context, PoolState, Storage } from '../state.ts';
import { withVdiOperation } from './vdi-operations.ts';

const LONGEST_CHAIN = 30;

/** `double` makes a disk of its own; `internal` only puts the disk onto a new base copy, for the coalescer. */
export type SnapshotType = 'double' | 'internal';

/**
 * Snapshots a disk (sm's FileSR.py, _snapshot): its file becomes a base copy under a new UUID, hidden; the disk, under the
 * UUID it had, and the snapshot become empty children of it. While its file is swapped the disk is paused. Answers the
 * snapshot, or of an internal one the base copy.
 */
export function snapshotVdi(context: Context, vdi: string, type: SnapshotType = 'double'): Promise<string> {
  const { pool } = context;
  return withVdiOperation(context, vdi, 'snapshot', async () => {
    const storage = storageOf(pool, pool.db.text('VDI', vdi, 'SR'));
    if (storage.type === 'rawhba') throw new XapiFailure('SR_OPERATION_NOT_SUPPORTED', storage.ref);
    if (smConfig(pool, vdi).type === 'raw') throw new XapiFailure('UNIMPLEMENTED_IN_SM_BACKEND', storage.ref);
    await settleDevices(pool, vdi);
    // Files and records change under one lock, so that no scan sees a file that has no record yet.
    const taken = await storage.chains.run(async () => {
      const uuid = pool.db.text('VDI', vdi, 'uuid');
      const chain = await chainOfFiles(storage, diskPath(storage, uuid));
      if (chain.length >= LONGEST_CHAIN)
        throw new XapiFailure('SR_BACKEND_FAILURE_109', '', 'The snapshot chain is too long', '');
      await pauseDisk(pool, storage, uuid);
      try {
        return await splitDisk(pool, storage, vdi, type);
      } finally {
        unpauseDisk(pool, storage, uuid);
      }
    });
    return taken;
  });
}

async function splitDisk(
  pool: PoolState,
  storage: Storage,
  vdi: string,
  type: SnapshotType,
): Promise<string> {
  const { db, models } = pool;
  const uuid = db.text('VDI', vdi, 'uuid');
  const split = { uuid, baseUuid: randomUUID(), snapshotUuid: type === 'double' ? randomUUID() : undefined };
  const { baseUuid, snapshotUuid } = split;
  if (storage.qcow2.has(uuid)) for (const each of [baseUuid, snapshotUuid]) if (each) storage.qcow2.add(each);
  const bytes = await physicalBytes(diskPath(storage, uuid));
  const parentUuid = await splitFile(storage, split);
  const isNew = parentUuid === baseUuid;
  await models.freeze(uuid, [...(snapshotUuid ? [snapshotUuid] : []), ...(isNew ? [baseUuid] : [])]);
  const base = isNew ? introduceBase(pool, storage, vdi, baseUuid, bytes) : undefined;
  noteSmConfig(pool, vdi, 'vhd-parent', parentUuid);
  if (snapshotUuid !== undefined)
    return introduceSnapshot(pool, storage, vdi, { uuid: snapshotUuid, parentUuid, bytes });
  if (base === undefined) return vdi;
  // xapi takes what sm answers for the snapshot, whatever it is (xapi_vdi.ml).
  db.update('VDI', base, {
    name_label: db.text('VDI', vdi, 'name_label'),
    is_a_snapshot: true,
    snapshot_of: vdi,
    snapshot_time: pool.clock.now(),
  });
  return base;
}

/** QCOW2 is kept in sm's notes, whose key for the parent is the same whatever the format. */
function formatOf(pool: PoolState, vdi: string): Record<string, string> {
  const format = smConfig(pool, vdi)['image-format'];
  return format === undefined ? {} : { 'image-format': format };
}

function introduceBase(pool: PoolState, storage: Storage, vdi: string, uuid: string, bytes: number): string {
  const { 'vhd-parent': grandparent } = smConfig(pool, vdi);
  return pool.db.create('VDI', {
    SR: storage.ref,
    uuid,
    location: uuid,
    name_label: 'base copy',
    type: pool.db.text('VDI', vdi, 'type'),
    virtual_size: pool.db.text('VDI', vdi, 'virtual_size'),
    physical_utilisation: String(bytes),
    read_only: true,
    managed: false,
    sm_config: {
      ...formatOf(pool, vdi),
      ...(grandparent !== undefined && { 'vhd-parent': grandparent }),
    },
  });
}

function introduceSnapshot(
  pool: PoolState,
  storage: Storage,
  vdi: string,
  { uuid, parentUuid, bytes }: { uuid: string; parentUuid: string; bytes: number },
): string {
  const record = pool.db.record('VDI', vdi);
  return pool.db.create('VDI', {
    SR: storage.ref,
    uuid,
    location: uuid,
    virtual_size: record.virtual_size ?? '0',
    type: record.type ?? 'user',
    name_label: record.name_label ?? '',
    name_description: record.name_description ?? '',
    sharable: record.sharable ?? false,
    other_config: record.other_config ?? {},
    xenstore_data: record.xenstore_data ?? {},
    tags: pool.settings.release.copiesTagsOfDisks ? (record.tags ?? []) : [],
    on_boot: 'persist',
    managed: true,
    physical_utilisation: String(bytes),
    sm_config: { ...formatOf(pool, vdi), 'vhd-parent': parentUuid },
    is_a_snapshot: true,
    snapshot_of: vdi,
    snapshot_time: pool.clock.now(),
  });
}
