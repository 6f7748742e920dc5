import { mkdir, open, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { BLOCK_BYTES, SECTOR_BYTES } from '../../vhd/format.ts';
import { physicalBytes } from '../../vhd/vhd.ts';
import type { Host, PoolState } from '../state.ts';
import { noteDeviceRoom } from './device-room.ts';
import { openFlatDisk } from './flat-disk.ts';
import { smConfig } from './records.ts';
import { isThick, takeRoom } from './room.ts';
import { diskPath, rawPath, storageOf } from './storage.ts';
import { writeDisk } from './writer.ts';
import { writtenBlocks } from './written-blocks.ts';

/** A disk's device in a control domain, below its `/dev`, as `VBD.device` has it. */
export function deviceName({ db }: PoolState, vdi: string): string {
  return `sm/backend/${db.text('SR', db.text('VDI', vdi, 'SR'), 'uuid')}/${db.text('VDI', vdi, 'uuid')}`;
}

export function devicePath(pool: PoolState, { dom0Root }: Host, vdi: string): string {
  return join(dom0Root, 'dev', deviceName(pool, vdi));
}

/**
 * Makes the file that stands for the disk's block device in the control domain: of a raw disk its volume itself, of any
 * other what its chain reads as now. What is written to it comes into the chain when it is settled, and not before; what
 * a guest writes meanwhile it does not show.
 */
export async function makeDevice(pool: PoolState, host: Host, vdi: string): Promise<void> {
  const storage = storageOf(pool, pool.db.text('VDI', vdi, 'SR'));
  const path = devicePath(pool, host, vdi);
  await mkdir(dirname(path), { recursive: true });
  if (smConfig(pool, vdi).type === 'raw') {
    await symlink(rawPath(storage, pool.db.text('VDI', vdi, 'uuid')), path).catch(ignoreThere);
    return;
  }
  const file = await open(path, 'wx').catch(ignoreThere);
  if (!file) return;
  await using _closed = file;
  const disk = await openFlatDisk(pool, vdi);
  await file.truncate(disk.virtualBytes);
  for (const block of disk.blocks) {
    const data = await disk.read(block);
    if (!isZero(data)) await file.write(data, 0, data.length, block * BLOCK_BYTES);
  }
  await noteDeviceRoom(pool, host, vdi, path);
}

/** Plugged twice, a disk still has one device. */
function ignoreThere(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'EEXIST') throw error;
}

export async function removeDevice(pool: PoolState, host: Host, vdi: string): Promise<void> {
  await rm(devicePath(pool, host, vdi), { force: true });
}

/** Brings what was written to the device into the disk's own file, sector by sector where they differ. */
export async function settleDevice(pool: PoolState, host: Host, vdi: string): Promise<void> {
  if (smConfig(pool, vdi).type === 'raw') return;
  const file = await open(devicePath(pool, host, vdi), 'r').catch(() => undefined);
  if (!file) return;
  await using _closed = file;
  const storage = storageOf(pool, pool.db.text('VDI', vdi, 'SR'));
  const path = diskPath(storage, pool.db.text('VDI', vdi, 'uuid'));
  const before = await physicalBytes(path);
  const disk = await openFlatDisk(pool, vdi);
  const held = new Set(disk.blocks);
  const written = await writtenBlocks(file, devicePath(pool, host, vdi), disk.virtualBytes);
  for (const block of new Set([...written, ...held])) {
    const was = held.has(block) ? await disk.read(block) : Buffer.alloc(blockBytes(disk.virtualBytes, block));
    const now = Buffer.alloc(was.length);
    await file.read(now, 0, now.length, block * BLOCK_BYTES);
    const writes = differences(was, now).map(({ sector, data }) => ({
      sector: sector + (block * BLOCK_BYTES) / SECTOR_BYTES,
      data,
    }));
    if (writes.length > 0) await writeDisk(pool, vdi, writes);
  }
  if (!isThick(storage)) takeRoom(storage, (await physicalBytes(path)) - before);
}

function blockBytes(virtualBytes: number, block: number): number {
  return Math.min(BLOCK_BYTES, virtualBytes - block * BLOCK_BYTES);
}

function differences(was: Buffer, now: Buffer): { sector: number; data: Buffer }[] {
  if (was.equals(now)) return [];
  const runs: { sector: number; data: Buffer }[] = [];
  let begin: number | undefined;
  for (let at = 0; at <= now.length; at += SECTOR_BYTES) {
    const end = at + SECTOR_BYTES;
    const differs = at < now.length && now.compare(was, at, end, at, end) !== 0;
    if (differs) begin ??= at;
    else if (begin !== undefined) {
      runs.push({ sector: begin / SECTOR_BYTES, data: now.subarray(begin, at) });
      begin = undefined;
    }
  }
  return runs;
}

const zeros = Buffer.alloc(BLOCK_BYTES);

function isZero(data: Buffer): boolean {
  return data.equals(zeros.subarray(0, data.length));
}
