import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createDynamicVhd, physicalBytes } from '../../vhd/vhd.ts';
import { diskPath, storageOf } from '../sm/storage.ts';
import { writeDisk } from '../sm/writer.ts';
import type { PoolState } from '../state.ts';

export type DiskFormat = 'vhd' | 'raw' | 'qcow2';

export interface NewDisk {
  readonly name: string;
  readonly sr: string;
  readonly mib: number;
  readonly format: DiskFormat;
  /** Random data from the start; with none the disk is all zeros. */
  readonly dataMib: number;
}

const MIB = 1024 ** 2;
const SECTOR_BYTES = 512;
const RUN_BYTES = 256 * 1024;

/** A disk with some data in it: a boot sector, runs of random bytes here and there, and the last sector. */
export async function buildDisk(pool: PoolState, disk: NewDisk): Promise<string> {
  const { db, models } = pool;
  const storage = storageOf(pool, disk.sr);
  const uuid = randomUUID();
  const virtualBytes = disk.mib * MIB;
  const vdi = db.create('VDI', {
    uuid,
    location: uuid,
    name_label: disk.name,
    name_description: '',
    SR: disk.sr,
    virtual_size: String(virtualBytes),
    type: 'user',
    managed: true,
    on_boot: 'persist',
    sm_config: { vhd: {}, raw: { type: 'raw' }, qcow2: { 'image-format': 'qcow2' } }[disk.format],
  });
  if (disk.format === 'raw') {
    await writeFile(join(storage.folder, `${uuid}.raw`), '');
    return vdi;
  }
  if (disk.format === 'qcow2') storage.qcow2.add(uuid);
  const path = diskPath(storage, uuid);
  await createDynamicVhd(path, { uuid: randomUUID(), virtualBytes, createdAt: new Date() });
  await models.create(uuid, virtualBytes);
  const writes = firstData(virtualBytes, disk.dataMib);
  if (writes.length > 0) await writeDisk(pool, vdi, writes);
  db.set('VDI', vdi, 'physical_utilisation', String(await physicalBytes(path)));
  return vdi;
}

function firstData(virtualBytes: number, dataMib: number): { sector: number; data: Buffer }[] {
  if (dataMib === 0) return [];
  const sectors = virtualBytes / SECTOR_BYTES;
  const boot = Buffer.alloc(SECTOR_BYTES);
  boot.write('simulated boot sector');
  boot.writeUInt16LE(0xaa55, SECTOR_BYTES - 2);
  const runs = Array.from({ length: Math.ceil((dataMib * MIB) / RUN_BYTES) }, () => ({
    sector: randomInt(1, Math.max(2, sectors - RUN_BYTES / SECTOR_BYTES)),
    data: randomBytes(Math.min(RUN_BYTES, virtualBytes / 2)),
  }));
  return [...runs, { sector: 0, data: boot }, { sector: sectors - 1, data: randomBytes(SECTOR_BYTES) }];
}
