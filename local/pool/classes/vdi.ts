import { stat } from 'node:fs/promises';
import { BLOCK_BYTES, blockCount, MAX_VIRTUAL_BYTES } from '../../vhd/format.ts';
import { growVhd } from '../../vhd/resize.ts';
import { physicalBytes } from '../../vhd/vhd.ts';
import type { Row } from '../database/value.ts';
import { XapiFailure } from '../failure.ts';
import { kickCollector } from '../sm/gc.ts';
import { formatOf, makeDisk } from '../sm/new-disk.ts';
import { forgetVdi, smConfig } from '../sm/records.ts';
import { isThick, noteRoom, takeRoom } from '../sm/room.ts';
import { assertAttached, diskLock, diskPath, rawPath, storageOf } from '../sm/storage.ts';
import { unlinkDisk } from '../sm/unlink.ts';
import type { Context } from '../state.ts';
import { atHost, hostOfSr } from './forwarding.ts';
import { updateAllowedVdiOperations, withVdiOperation } from './vdi-operations.ts';
import { snapshotVdi } from './vdi-snapshot.ts';

/**
 * `VDI.create` (xapi_vdi.ml): an empty disk, of the size that the SR makes of the one asked for. Whose it is, tags and the
 * like are set on its record after the SR has made it.
 * @throws XapiFailure SR_HAS_NO_PBDS, SR_BACKEND_FAILURE_44 for a thick SR without room, _78 and _79
 */
async function createVdi(context: Context, args: Row): Promise<string> {
  const { pool } = context;
  const { db } = pool;
  const [sr, type] = [String(args.SR), String(args.type)];
  if (type === 'cbt_metadata') throw new XapiFailure('VDI_INCOMPATIBLE_TYPE', '', type);
  db.row('SR', sr);
  const storage = storageOf(pool, sr);
  const asked = args.sm_config as Record<string, string>;
  const format = formatOf(storage, asked);
  const make = async (): Promise<string> => {
    const made = await makeDisk(pool, storage, { format, bytes: Number(args.virtual_size) });
    const vdi = db.create('VDI', {
      ...args,
      uuid: made.uuid,
      location: made.uuid,
      virtual_size: String(made.virtualBytes),
      physical_utilisation: String(made.heldBytes),
      sm_config: {
        ...asked,
        ...{ vhd: {}, raw: { type: 'raw' }, qcow2: { 'image-format': 'qcow2' } }[format],
      },
      managed: true,
      on_boot: 'persist',
    });
    await noteRoom(pool, storage);
    updateAllowedVdiOperations(pool, vdi);
    return vdi;
  };
  return atHost(context, hostOfSr(pool, sr), () => storage.chains.run(make));
}

/** Unlinks the disk's file and removes its VBDs with it; the coalescer comes for what is left of the chain. */
async function destroyVdi(context: Context, vdi: string): Promise<void> {
  const { pool } = context;
  pool.db.row('VDI', vdi);
  await withVdiOperation(context, vdi, 'destroy', async () => {
    const storage = storageOf(pool, pool.db.text('VDI', vdi, 'SR'));
    const uuid = pool.db.text('VDI', vdi, 'uuid');
    await storage.chains.run(async () => {
      const raw = smConfig(pool, vdi).type === 'raw';
      const path = raw ? rawPath(storage, uuid) : diskPath(storage, uuid);
      const held = isThick(storage)
        ? Number(pool.db.text('VDI', vdi, 'physical_utilisation'))
        : await bytesOf(path);
      await unlinkDisk(pool, storage, path);
      takeRoom(storage, -held);
      forgetVdi(pool, vdi);
      await noteRoom(pool, storage);
    });
    kickCollector(pool, storage);
  });
}

/**
 * Makes a disk larger, in whole blocks, while nobody has it attached (FileSR.py, resize): its base copies stay smaller.
 * @throws XapiFailure VDI_IN_USE, or SR_BACKEND_FAILURE_79 for a smaller size
 */
async function resizeVdi(context: Context, vdi: string, size: string): Promise<void> {
  const { pool } = context;
  pool.db.row('VDI', vdi);
  await withVdiOperation(context, vdi, 'resize', async () => {
    const storage = storageOf(pool, pool.db.text('VDI', vdi, 'SR'));
    if (smConfig(pool, vdi).type === 'raw') throw new XapiFailure('UNIMPLEMENTED_IN_SM_BACKEND', storage.ref);
    const bytes = blockCount(Number(size)) * BLOCK_BYTES;
    const before = Number(pool.db.text('VDI', vdi, 'virtual_size'));
    if (bytes > MAX_VIRTUAL_BYTES) throw invalidSize('VDI size must be between 1 MB and 2088960 MB');
    if (Number(size) < before) throw invalidSize('shrinking not allowed');
    const uuid = pool.db.text('VDI', vdi, 'uuid');
    const path = diskPath(storage, uuid);
    await storage.chains.run(() => diskLock(storage, uuid).run(() => growVhd(path, Math.max(bytes, before))));
    await pool.models.grow(uuid, Math.max(bytes, before));
    pool.db.update('VDI', vdi, {
      virtual_size: String(Math.max(bytes, before)),
      physical_utilisation: String(await physicalBytes(path)),
    });
  });
}

function invalidSize(reason: string): XapiFailure {
  return new XapiFailure('SR_BACKEND_FAILURE_79', '', `VDI Invalid size [opterr=${reason}]`, '');
}

/** What a file takes; nothing if it is not there. */
async function bytesOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

/** The name, and by way of the SR's host: sm keeps it too. */
function setText(field: 'name_label' | 'name_description') {
  return ({ pool }: Context, vdi: string, value: string) => {
    pool.db.row('VDI', vdi);
    assertAttached(pool, pool.db.text('VDI', vdi, 'SR'));
    pool.db.set('VDI', vdi, field, value);
  };
}

/** Only sm itself may say such things of a disk (sm.ml, assert_session_has_internal_sr_access). */
function forSmAlone({ pool }: Context, vdi: string): never {
  pool.db.row('VDI', vdi);
  throw new XapiFailure('PERMISSION_DENIED', '');
}

export const vdiCalls = {
  'VDI.create': createVdi,
  'VDI.set_name_label': setText('name_label'),
  'VDI.set_name_description': setText('name_description'),
  'VDI.set_read_only': forSmAlone,
  'VDI.set_sharable': forSmAlone,
  'VDI.snapshot': (context: Context, vdi: string, driverParams: Record<string, string> = {}) =>
    snapshotVdi(context, vdi, driverParams.type === 'internal' ? 'internal' : 'double'),
  'VDI.resize': (context: Context, vdi: string, size: string) => resizeVdi(context, vdi, size),
  'VDI.destroy': (context: Context, vdi: string) => destroyVdi(context, vdi),
};
