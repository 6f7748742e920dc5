import type { FileHandle } from 'node:fs/promises';
import {
  BITMAP_BYTES,
  BLOCK_BYTES,
  SECTOR_BYTES,
  SECTORS_PER_BLOCK,
  sectorAligned,
  UNUSED_BLOCK,
} from './format.ts';
import type { Header } from './header.ts';
import { readExactly, writeExactly } from './io.ts';

const zeros = Buffer.alloc(BLOCK_BYTES);
const BAT_CHUNK_ENTRIES = 16 * 1024;

/** A part of one block: what a read or a write of sectors falls into. */
export interface Piece {
  readonly block: number;
  readonly firstSector: number;
  readonly sectors: number;
  /** Offset in the caller's data. */
  readonly dataOffset: number;
}

/** Cuts `count` sectors from `sector` on at the borders of blocks. */
export function* pieces(sector: number, count: number): Generator<Piece> {
  for (let done = 0; done < count; ) {
    const firstSector = (sector + done) % SECTORS_PER_BLOCK;
    const sectors = Math.min(count - done, SECTORS_PER_BLOCK - firstSector);
    const block = Math.floor((sector + done) / SECTORS_PER_BLOCK);
    yield { block, firstSector, sectors, dataOffset: done * SECTOR_BYTES };
    done += sectors;
  }
}

/**
 * Byte offset of a block's bitmap, which its data follows, or `undefined` where the file does not hold the block. Read
 * from the file each time: four bytes, against a table of 4 MiB kept in memory for the largest disk.
 */
export async function findBlock(
  file: FileHandle,
  header: Header,
  block: number,
): Promise<number | undefined> {
  const entry = await readExactly(file, header.batOffset + 4 * block, 4);
  const sector = entry.readUInt32BE(0);
  return sector === UNUSED_BLOCK ? undefined : sector * SECTOR_BYTES;
}

/** The numbers of all blocks that the file holds, in ascending order. */
export async function* heldBlocks(file: FileHandle, header: Header): AsyncGenerator<number> {
  for (let first = 0; first < header.batEntries; first += BAT_CHUNK_ENTRIES) {
    const entries = Math.min(BAT_CHUNK_ENTRIES, header.batEntries - first);
    const chunk = await readExactly(file, header.batOffset + 4 * first, 4 * entries);
    for (let i = 0; i < entries; i++) if (chunk.readUInt32BE(4 * i) !== UNUSED_BLOCK) yield first + i;
  }
}

export function isPresent(bitmap: Buffer, sector: number): boolean {
  return ((bitmap[sector >> 3] ?? 0) & (0x80 >> (sector & 7))) !== 0;
}

/** Fills `into` with the sectors that this file holds; the others are left as they are. */
export async function readPiece(
  file: FileHandle,
  header: Header,
  piece: Piece,
  into: Buffer,
  present: boolean[],
): Promise<void> {
  const at = await findBlock(file, header, piece.block);
  if (at === undefined) return;
  const bitmap = await readExactly(file, at, BITMAP_BYTES);
  const dataAt = at + BITMAP_BYTES + piece.firstSector * SECTOR_BYTES;
  const data = await readExactly(file, dataAt, piece.sectors * SECTOR_BYTES);
  for (let i = 0; i < piece.sectors; i++) {
    if (!isPresent(bitmap, piece.firstSector + i)) continue;
    const from = i * SECTOR_BYTES;
    data.copy(into, piece.dataOffset + from, from, from + SECTOR_BYTES);
    present[piece.dataOffset / SECTOR_BYTES + i] = true;
  }
}

/**
 * Writes one piece into a block that is held: its data first, then its bitmap, so that a file that is abandoned at any
 * moment is still a valid one.
 */
export async function writePiece(file: FileHandle, at: number, piece: Piece, data: Buffer): Promise<void> {
  await writeExactly(file, partOf(piece, data), at + BITMAP_BYTES + piece.firstSector * SECTOR_BYTES);
  const bitmap = await readExactly(file, at, BITMAP_BYTES);
  for (let i = piece.firstSector; i < piece.firstSector + piece.sectors; i++)
    bitmap[i >> 3] = (bitmap[i >> 3] ?? 0) | (0x80 >> (i & 7));
  await writeExactly(file, bitmap, at);
}

/** Whether all that the piece would write is zeros. */
export function isZero(piece: Piece, data: Buffer): boolean {
  const part = partOf(piece, data);
  return part.equals(zeros.subarray(0, part.length));
}

function partOf({ dataOffset, sectors }: Piece, data: Buffer): Buffer {
  return data.subarray(dataOffset, dataOffset + sectors * SECTOR_BYTES);
}

/**
 * Makes room for a block at `end`, over the footer if there is one (libvhd's __vhd_io_allocate_block): zeros, then the
 * BAT's entry. Answers the new end; until somebody writes a footer there, the file has none but its copy.
 */
export async function appendBlock(
  file: FileHandle,
  header: Header,
  block: number,
  end: number,
): Promise<number> {
  const next = end + BITMAP_BYTES + BLOCK_BYTES;
  await writeExactly(file, zeros.subarray(0, BITMAP_BYTES), end);
  await file.truncate(next);
  const entry = Buffer.alloc(4);
  entry.writeUInt32BE(end / SECTOR_BYTES);
  await writeExactly(file, entry, header.batOffset + 4 * block);
  return next;
}

/** Where a file's data ends and its footer belongs, by its structures alone (libvhd's vhd_end_of_data). */
export function endOfData({ batOffset, batEntries, parent }: Header, bat: Buffer): number {
  let end = batOffset + sectorAligned(4 * batEntries);
  for (const { offset, spaceBytes } of parent?.locators ?? []) end = Math.max(end, offset + spaceBytes);
  for (let i = 0; i < batEntries; i++) {
    const sector = bat.readUInt32BE(4 * i);
    if (sector !== UNUSED_BLOCK) end = Math.max(end, sector * SECTOR_BYTES + BITMAP_BYTES + BLOCK_BYTES);
  }
  return end;
}
