import { createHash } from 'node:crypto';
import { BLOCK_BYTES } from '../../vhd/format.ts';
import type { FlatDisk } from './flat-disk.ts';

/** A piece of the disk that the guest needs to come up, and never writes again. */
export interface Piece {
  readonly sector: number;
  readonly data: Buffer;
}

const SECTOR_BYTES = 512;
const MAGIC = 'simulated boot sector';
const AGENT_AT = 32;
const COUNT_AT = 33;
const FIRMWARE_AT = 34;
const ENTRIES_AT = 40;
const HASH_BYTES = 16;
const ENTRY_BYTES = 4 + 4 + HASH_BYTES;
const MOST_PIECES = 19;

/** What is installed on a disk. */
export interface System {
  readonly firmware: 'bios' | 'uefi';
  readonly hasAgent: boolean;
}

/**
 * The first sector of a disk that boots: it names pieces of the disk with their checksums, as a boot loader that verifies
 * what it loads. The disk also says what firmware it is made for, and whether an agent is installed on it.
 */
export function bootSector(pieces: readonly Piece[], { firmware, hasAgent }: System): Buffer {
  const sector = Buffer.alloc(SECTOR_BYTES);
  const kept = pieces.slice(0, MOST_PIECES);
  sector.write(MAGIC);
  sector.writeUInt8(hasAgent ? 1 : 0, AGENT_AT);
  sector.writeUInt8(kept.length, COUNT_AT);
  sector.writeUInt8(firmware === 'uefi' ? 1 : 0, FIRMWARE_AT);
  for (const [index, { sector: at, data }] of kept.entries()) {
    const entry = ENTRIES_AT + index * ENTRY_BYTES;
    sector.writeUInt32LE(at, entry);
    sector.writeUInt32LE(data.length / SECTOR_BYTES, entry + 4);
    hashOf(data).copy(sector, entry + 8);
  }
  sector.writeUInt16LE(0xaa55, SECTOR_BYTES - 2);
  return sector;
}

function hashOf(data: Buffer): Buffer {
  return createHash('sha256').update(data).digest().subarray(0, HASH_BYTES);
}

interface Entry {
  readonly sector: number;
  readonly count: number;
  readonly hash: Buffer;
}

function entriesOf(sector: Buffer): Entry[] | undefined {
  if (sector.toString('latin1', 0, MAGIC.length) !== MAGIC) return undefined;
  if (sector.readUInt16LE(SECTOR_BYTES - 2) !== 0xaa55) return undefined;
  const count = sector.readUInt8(COUNT_AT);
  if (count > MOST_PIECES) return undefined;
  return Array.from({ length: count }, (_, index) => {
    const at = ENTRIES_AT + index * ENTRY_BYTES;
    const hash = sector.subarray(at + 8, at + 8 + HASH_BYTES);
    return { sector: sector.readUInt32LE(at), count: sector.readUInt32LE(at + 4), hash };
  });
}

/**
 * The system that comes up from the disk; undefined for one that is damaged or holds none.
 */
export async function systemOn(disk: FlatDisk): Promise<System | undefined> {
  const sector = await readSectors(disk, 0, 1);
  const entries = entriesOf(sector);
  if (!entries) return undefined;
  for (const { sector: at, count, hash } of entries) {
    if ((at + count) * SECTOR_BYTES > disk.virtualBytes) return undefined;
    if (!hashOf(await readSectors(disk, at, count)).equals(hash)) return undefined;
  }
  return {
    firmware: sector.readUInt8(FIRMWARE_AT) === 1 ? 'uefi' : 'bios',
    hasAgent: sector.readUInt8(AGENT_AT) === 1,
  };
}

/** The boot sector without the pieces that writes fall into, for what a guest writes on purpose is no damage. */
export function bootSectorAfter(
  sector: Buffer,
  writes: readonly { readonly sector: number; readonly data: Buffer }[],
): Buffer | undefined {
  const entries = entriesOf(sector);
  const isTouched = ({ sector: at, count }: Entry): boolean =>
    writes.some((write) => write.sector < at + count && at < write.sector + write.data.length / SECTOR_BYTES);
  if (!entries?.some(isTouched)) return undefined;
  const kept = entries.filter((entry) => !isTouched(entry));
  const after = Buffer.from(sector);
  after.fill(0, ENTRIES_AT, SECTOR_BYTES - 2);
  after.writeUInt8(kept.length, COUNT_AT);
  for (const [index, { sector: at, count, hash }] of kept.entries()) {
    const entry = ENTRIES_AT + index * ENTRY_BYTES;
    after.writeUInt32LE(at, entry);
    after.writeUInt32LE(count, entry + 4);
    hash.copy(after, entry + 8);
  }
  return after;
}

/** Some sectors of a disk, whose blocks need not all be held. */
export async function readSectors(disk: FlatDisk, sector: number, count: number): Promise<Buffer> {
  const held = new Set(disk.blocks);
  const result = Buffer.alloc(count * SECTOR_BYTES);
  for (let at = sector * SECTOR_BYTES; at < (sector + count) * SECTOR_BYTES; ) {
    const block = Math.floor(at / BLOCK_BYTES);
    const end = Math.min((block + 1) * BLOCK_BYTES, (sector + count) * SECTOR_BYTES);
    if (held.has(block)) {
      const data = await disk.read(block);
      data.copy(result, at - sector * SECTOR_BYTES, at - block * BLOCK_BYTES, end - block * BLOCK_BYTES);
    }
    at = end;
  }
  return result;
}
