import { BLOCK_BYTES, blockCount, MAX_VIRTUAL_BYTES } from '../../vhd/format.ts';
import { growVhd } from '../../vhd/resize.ts';
import { physicalBytes } from '../../vhd/vhd.ts';
import { XapiFailure } from '../failure.ts';
import { kickCollector } from '../sm/gc.ts';
import { forgetVdi, smConfig } from '../sm/records.ts';
import { diskLock, diskPath, storageOf } from '../sm/storage.ts';
import { unlinkDisk } from '../sm/unlink.ts';
import type { Context } from '../state.ts';
import { withVdiOperation } from './vdi-operations.ts';
import { snapshotVdi } from './vdi-snapshot.ts';

/** Unlinks the disk's file and removes its VBDs with it; the coalescer comes for what is left of the chain. */
async function destroyVdi(context: Context, vdi: string): Promise<void> {
  const { pool } = context;
  pool.db.row('VDI', vdi);
  await withVdiOperation(context, vdi, 'destroy', async () => {
    const storage = storageOf(pool, pool.db.text('VDI', vdi, 'SR'));
    const uuid = pool.db.text('VDI', vdi, 'uuid');
    await storage.chains.run(() => unlinkDisk(pool, storage, diskPath(storage, uuid)));
    forgetVdi(pool, vdi);
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

export const vdiCalls = {
  'VDI.snapshot': (context: Context, vdi: string, driverParams: Record<string, string> = {}) =>
    snapshotVdi(context, vdi, driverParams.type === 'internal' ? 'internal' : 'double'),
  'VDI.resize': (context: Context, vdi: string, size: string) => resizeVdi(context, vdi, size),
  'VDI.destroy': (context: Context, vdi: string) => destroyVdi(context, vdi),
};
