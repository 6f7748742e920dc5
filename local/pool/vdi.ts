import { randomUUID } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { XapiFailure } from './failure.ts';
import { kickCollector } from './gc.ts';
import type { Context } from './state.ts';
import { assertAttached, diskLock, type Storage, storageOf, vhdPath } from './storage.ts';
import type { Row } from './value.ts';
import { createChildVhd, physicalBytes, setHidden } from './vhd.ts';
import { untilAllowed } from './vm-operations.ts';

const LONGEST_CHAIN = 30;

function refusal({ pool: { db } }: Context, vdi: string, operation: string): XapiFailure | undefined {
  const [current] = Object.entries(db.map('VDI', vdi, 'current_operations'));
  if (current) return new XapiFailure('OTHER_OPERATION_IN_PROGRESS', 'VDI', vdi, current[1], current[0]);
  if (operation === 'snapshot') return undefined;
  const inUse = db
    .referrers('VBD', 'VDI', vdi)
    .some((vbd) => db.flag('VBD', vbd, 'currently_attached') || db.flag('VBD', vbd, 'reserved'));
  if (inUse) return new XapiFailure('VDI_IN_USE', vdi, operation);
  const sr = db.text('VDI', vdi, 'SR');
  if (db.text('SR', sr, 'type') === 'udev') return new XapiFailure('VDI_IS_A_PHYSICAL_DEVICE', vdi);
  return db.flag('SR', sr, 'is_tools_sr') ? new XapiFailure('SR_OPERATION_NOT_SUPPORTED', sr) : undefined;
}

async function withVdiOperation<T>(
  context: Context,
  vdi: string,
  operation: string,
  work: () => Promise<T>,
): Promise<T> {
  const { db, released } = context.pool;
  await untilAllowed(context, 'VDI', vdi, () => refusal(context, vdi, operation));
  db.set('VDI', vdi, 'current_operations', { [context.task]: operation });
  try {
    assertAttached(context.pool, db.text('VDI', vdi, 'SR'));
    if (!db.flag('VDI', vdi, 'managed')) throw new XapiFailure('VDI_NOT_MANAGED', vdi);
    return await work();
  } finally {
    if (db.has('VDI', vdi)) db.set('VDI', vdi, 'current_operations', {});
    released.emit(`VDI/${vdi}`);
  }
}

/** How many files a disk's chain has, by the database. */
export function chainDepth({ pool: { db } }: Context, vdi: string): number {
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
  const { db, models, clock } = context.pool;
  return withVdiOperation(context, vdi, 'snapshot', async () => {
    const record = db.record('VDI', vdi);
    const storage = storageOf(context.pool, String(record.SR));
    const smConfig = db.map('VDI', vdi, 'sm_config');
    if (smConfig.type === 'raw' || smConfig['image-format']) {
      throw new XapiFailure('UNIMPLEMENTED_IN_SM_BACKEND', storage.ref);
    }
    const uuid = String(record.uuid);
    const [baseUuid, snapshotUuid] = [randomUUID(), randomUUID()];
    await storage.chains.run(async () => {
      if (chainDepth(context, vdi) >= LONGEST_CHAIN) {
        throw new XapiFailure('SR_BACKEND_FAILURE_109', '', 'The snapshot chain is too long', '');
      }
      if (storage.full) throw new XapiFailure('SR_BACKEND_FAILURE_44', '', 'There is insufficient space', '');
      await diskLock(storage, uuid).run(async () => {
        await splitFile(storage, uuid, baseUuid, snapshotUuid);
        await models.freeze(uuid, snapshotUuid, baseUuid);
      });
      const parent = smConfig['vhd-parent'];
      db.create('VDI', {
        ...sizesOf(record),
        uuid: baseUuid,
        location: baseUuid,
        name_label: 'base copy',
        SR: storage.ref,
        type: 'user',
        read_only: true,
        managed: false,
        physical_utilisation: String(await physicalBytes(vhdPath(storage, baseUuid))),
        ...(parent !== undefined && { sm_config: { 'vhd-parent': parent } }),
      });
      db.set('VDI', vdi, 'sm_config', { ...smConfig, 'vhd-parent': baseUuid });
    });
    return db.create('VDI', {
      ...sizesOf(record),
      uuid: snapshotUuid,
      location: snapshotUuid,
      name_label: record.name_label ?? '',
      name_description: record.name_description ?? '',
      SR: storage.ref,
      type: record.type ?? 'user',
      sharable: record.sharable ?? false,
      other_config: record.other_config ?? {},
      xenstore_data: record.xenstore_data ?? {},
      tags: record.tags ?? [],
      on_boot: 'persist',
      managed: true,
      physical_utilisation: String(await physicalBytes(vhdPath(storage, snapshotUuid))),
      sm_config: { 'vhd-parent': baseUuid },
      allowed_operations: record.allowed_operations ?? [],
      is_a_snapshot: true,
      snapshot_of: vdi,
      snapshot_time: clock.now(),
    });
  });
}

function sizesOf(record: Row): Row {
  return { virtual_size: record.virtual_size ?? '0', storage_lock: false };
}

async function splitFile(
  storage: Storage,
  uuid: string,
  baseUuid: string,
  snapshotUuid: string,
): Promise<void> {
  const [live, base, snapshot] = [
    vhdPath(storage, uuid),
    vhdPath(storage, baseUuid),
    vhdPath(storage, snapshotUuid),
  ];
  // A file's own UUID is not its name, and stays when the file is renamed; files carry real time, as their mtimes do.
  const child = () => ({ uuid: randomUUID(), parentPath: base, createdAt: new Date() });
  await rename(live, base);
  await createChildVhd(`${live}.new`, child());
  await rename(`${live}.new`, live);
  await createChildVhd(snapshot, child());
  await setHidden(base, true);
}

/** Unlinks the disk's file and removes its VBDs with it; the coalescer comes for what is left of the chain. */
async function destroyVdi(context: Context, vdi: string): Promise<void> {
  const { pool } = context;
  pool.db.row('VDI', vdi);
  await withVdiOperation(context, vdi, 'destroy', async () => {
    const storage = storageOf(pool, pool.db.text('VDI', vdi, 'SR'));
    const uuid = pool.db.text('VDI', vdi, 'uuid');
    await storage.chains.run(() => rm(vhdPath(storage, uuid), { force: true }));
    for (const vbd of pool.db.referrers('VBD', 'VDI', vdi)) pool.db.destroy('VBD', vbd);
    pool.db.destroy('VDI', vdi);
    kickCollector(pool, storage);
  });
}

export const vdiCalls = {
  'VDI.snapshot': (context: Context, vdi: string) => snapshotVdi(context, vdi),
  'VDI.destroy': (context: Context, vdi: string) => destroyVdi(context, vdi),
};
