import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { open } from 'node:fs/promises';
import { createDynamicVhd, physicalBytes } from '../../vhd/vhd.ts';
import { bootSector, type System } from '../sm/boot-disk.ts';
import { isThick, vhdVolumeBytes } from '../sm/room.ts';
import { diskPath, rawPath, storageOf } from '../sm/storage.ts';
import { hotSectors, writeDisk } from '../sm/writer.ts';
import type { PoolState } from '../state.ts';

export type DiskFormat = 'vhd' | 'raw' | 'qcow2';

export interface NewDisk {
  readonly name: string;
  readonly sr: string;
  readonly mib: number;
  readonly format: DiskFormat;
  /** Random data from the start; with none the disk is all zeros. */
  readonly dataMib: number;
  /** What is installed on it: a guest comes up with this firmware only, and with an agent or without. */
  readonly system: System;
}

const MIB = 1024 ** 2;
const SECTOR_BYTES = 512;
const RUN_SECTORS = 512;

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
    await using volume = await open(rawPath(storage, uuid), 'wx');
    await volume.truncate(virtualBytes);
    db.set('VDI', vdi, 'physical_utilisation', String(virtualBytes));
    return vdi;
  }
  if (disk.format === 'qcow2') storage.qcow2.add(uuid);
  const path = diskPath(storage, uuid);
  await createDynamicVhd(path, { uuid: randomUUID(), virtualBytes, createdAt: new Date() });
  await models.create(uuid, virtualBytes);
  const writes = firstData(virtualBytes, disk);
  if (writes.length > 0) await writeDisk(pool, vdi, writes);
  const held = isThick(storage) ? vhdVolumeBytes(virtualBytes) : await physicalBytes(path);
  db.set('VDI', vdi, 'physical_utilisation', String(held));
  return vdi;
}

function firstData(virtualBytes: number, { dataMib, system }: NewDisk): { sector: number; data: Buffer }[] {
  if (dataMib === 0) return [];
  const sectors = virtualBytes / SECTOR_BYTES;
  const places = Math.max(1, Math.floor(sectors / RUN_SECTORS));
  const taken = new Set<number>();
  const wanted = Math.min(places, Math.ceil((dataMib * MIB) / SECTOR_BYTES / RUN_SECTORS));
  while (taken.size < wanted) taken.add(randomInt(places));
  // Neither where blocks begin nor where they end, nor in the boot sector or the disk's last.
  const runs = [...taken].map((place) => ({
    sector: place * RUN_SECTORS + randomInt(1, 8),
    data: randomBytes((RUN_SECTORS - 9) * SECTOR_BYTES),
  }));
  // Of these the guest boots; where it goes on writing is no part of it.
  const needed = runs.filter(({ sector }) => sector >= hotSectors(sectors));
  return [
    ...runs,
    { sector: 0, data: bootSector(needed, system) },
    { sector: sectors - 1, data: randomBytes(SECTOR_BYTES) },
  ];
}
