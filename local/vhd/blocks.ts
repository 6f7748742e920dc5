import type { FileHandle } from 'node:fs/promises';
import {
  bitmapBytes,
  blockBytes,
  sectorAligned,
  sectorBytes,
  sectorsPerBlock,
  unusedBlock,
} from './format.ts';
import type { Header } from './header.ts';
import { readExactly, writeExactly } from './io.ts';

const zeros = Buffer.alloc(blockBytes);
const batChunkEntries = 16 * 1024;

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
    const firstSector = (sector + done) % sectorsPerBlock;
    const sectors = Math.min(count - done, sectorsPerBlock - firstSector);
    const block = Math.floor((sector + done) / sectorsPerBlock);
    yield { block, firstSector, sectors, dataOffset: done * sectorBytes };
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
  return sector === unusedBlock ? undefined : sector * sectorBytes;
}

/** The numbers of all blocks that the file holds, in ascending order. */
export async function* heldBlocks(file: FileHandle, header: Header): AsyncGenerator<number> {
  for (let first = 0; first < header.batEntries; first += batChunkEntries) {
    const entries = Math.min(batChunkEntries, header.batEntries - first);
    const chunk = await readExactly(file, header.batOffset + 4 * first, 4 * entries);
    for (let i = 0; i < entries; i++) if (chunk.readUInt32BE(4 * i) !== unusedBlock) yield first + i;
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
  const bitmap = await readExactly(file, at, bitmapBytes);
  const dataAt = at + bitmapBytes + piece.firstSector * sectorBytes;
  const data = await readExactly(file, dataAt, piece.sectors * sectorBytes);
  for (let i = 0; i < piece.sectors; i++) {
    if (!isPresent(bitmap, piece.firstSector + i)) continue;
    const from = i * sectorBytes;
    data.copy(into, piece.dataOffset + from, from, from + sectorBytes);
    present[piece.dataOffset / sectorBytes + i] = true;
  }
}

/**
 * Writes one piece into a block that is held: its data first, then its bitmap, so that a file that is abandoned at any
 * moment is still a valid one.
 */
export async function writePiece(file: FileHandle, at: number, piece: Piece, data: Buffer): Promise<void> {
  await writeExactly(file, partOf(piece, data), at + bitmapBytes + piece.firstSector * sectorBytes);
  const bitmap = await readExactly(file, at, bitmapBytes);
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
  return data.subarray(dataOffset, dataOffset + sectors * sectorBytes);
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
  const next = end + bitmapBytes + blockBytes;
  await writeExactly(file, zeros.subarray(0, bitmapBytes), end);
  await file.truncate(next);
  const entry = Buffer.alloc(4);
  entry.writeUInt32BE(end / sectorBytes);
  await writeExactly(file, entry, header.batOffset + 4 * block);
  return next;
}

/** Where a file's data ends and its footer belongs, by its structures alone (libvhd's vhd_end_of_data). */
export function endOfData({ batOffset, batEntries, parent }: Header, bat: Buffer): number {
  let end = batOffset + sectorAligned(4 * batEntries);
  for (const { offset, spaceBytes } of parent?.locators ?? []) end = Math.max(end, offset + spaceBytes);
  for (let i = 0; i < batEntries; i++) {
    const sector = bat.readUInt32BE(4 * i);
    if (sector !== unusedBlock) end = Math.max(end, sector * sectorBytes + bitmapBytes + blockBytes);
  }
  return end;
}
