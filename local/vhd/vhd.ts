import { type FileHandle, open, rm, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import {
  appendBlock,
  findBlock,
  heldBlocks,
  isZero,
  type Piece,
  pieces,
  readPiece,
  writePiece,
} from './blocks.ts';
import { encodeFooter, type Footer, withHidden } from './footer.ts';
import {
  BAT_OFFSET,
  blockCount,
  endOfBat,
  FOOTER_BYTES,
  MAX_VIRTUAL_BYTES,
  SECTOR_BYTES,
  VhdError,
} from './format.ts';
import { encodeHeader, type Parent } from './header.ts';
import { readExactly, writeExactly } from './io.ts';
import { planLocators, writeLocators } from './locators.ts';
import { describeParent, type Metadata, readMetadata, restoreFooter } from './metadata.ts';

/** An open VHD file, on its own: what its parents hold does not show through. One writer at a time. */
export interface Vhd {
  readonly uuid: string;
  /** `null` for a dynamic disk. */
  readonly parentUuid: string | null;
  /** The parent's file name without a folder; `null` for a dynamic disk. */
  readonly parentName: string | null;
  readonly type: 'dynamic' | 'differencing';
  readonly virtualBytes: number;
  /** The flag as it was when the file was opened. */
  readonly hidden: boolean;
  readonly createdAt: Date;
  /**
   * Makes room for a block; false where the file holds it already. From then on there is no footer at the file's end,
   * until the next `writeSectors`.
   */
  allocate(block: number): Promise<boolean>;
  /**
   * Any number of whole sectors, in order of the calls even when they are not awaited. Zeros that nothing lies under
   * are not written: in a dynamic disk's block that is not held yet they stay absent.
   * @throws VhdError for a part of a sector or beyond the disk's end
   */
  writeSectors(sector: number, data: Buffer): Promise<void>;
  /** `present[i]` is false, and its data zero, for a sector that this file does not hold. */
  readSectors(sector: number, count: number): Promise<{ data: Buffer; present: boolean[] }>;
  /** The numbers of the 2 MiB blocks that the file holds, ascending. */
  heldBlocks(): AsyncGenerator<number>;
  /** Waits for writes under way. */
  close(): Promise<void>;
}

/**
 * A new, empty dynamic disk.
 * @throws VhdError unless `virtualBytes` is whole sectors, at most 2040 GiB; EEXIST when the file is there
 */
export async function createDynamicVhd(
  path: string,
  { uuid, virtualBytes, createdAt }: { uuid: string; virtualBytes: number; createdAt: Date },
): Promise<void> {
  await create(path, { uuid, type: 'dynamic', virtualBytes, createdAt, hidden: false });
}

/**
 * An empty differencing child: the UUID, name and modification time it knows of its parent are read from the parent's
 * file, and its size unless it is told.
 */
export async function createChildVhd(
  path: string,
  {
    uuid,
    parentPath,
    createdAt,
    virtualBytes,
  }: { uuid: string; parentPath: string; createdAt: Date; virtualBytes?: number },
): Promise<void> {
  const parent = await openVhd(parentPath);
  await parent.close();
  const footer: Footer = {
    uuid,
    type: 'differencing',
    virtualBytes: virtualBytes ?? parent.virtualBytes,
    createdAt,
    hidden: false,
  };
  await create(path, footer, parentPath, await describeParent(parentPath, parent.uuid));
}

/**
 * Opens a file to read it, or to write to it: as vhd-util, which puts the footer back after each write, or as tapdisk,
 * which leaves that to whoever closes the disk (`settleFooter`).
 * @throws VhdError when the file is no VHD, damaged, or neither dynamic nor differencing
 */
export async function openVhd(path: string, { asTapdisk = false } = {}): Promise<Vhd> {
  const file = await open(path, 'r+');
  try {
    return vhdOf(file, path, await readMetadata(path, file), asTapdisk);
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Sets the flag that makes a node of the chain a base copy, in both footers, as `vhd-util set` does. */
export async function setHidden(path: string, hidden: boolean): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const { end } = await readMetadata(path, file);
    await writeExactly(file, withHidden(await readExactly(file, 0, FOOTER_BYTES), hidden), 0);
    await restoreFooter(file, end);
  } finally {
    await file.close();
  }
}

/** What the file takes by its length, as `vhd-util query -s` counts: metadata and blocks held, holes included. */
export async function physicalBytes(path: string): Promise<number> {
  return (await stat(path)).size;
}

async function create(path: string, footer: Footer, parentPath?: string, parent?: Omit<Parent, 'locators'>) {
  const { virtualBytes } = footer;
  if (virtualBytes <= 0 || virtualBytes > MAX_VIRTUAL_BYTES || virtualBytes % SECTOR_BYTES !== 0)
    throw new VhdError(`A VHD cannot have ${virtualBytes} bytes`);
  const batEntries = blockCount(virtualBytes);
  const blocksAt = endOfBat(batEntries);
  const locators = parentPath === undefined ? [] : planLocators(path, parentPath, blocksAt);
  const header = encodeHeader({
    batOffset: BAT_OFFSET,
    batEntries,
    parent: parent && { ...parent, locators },
  });
  const file = await open(path, 'wx');
  try {
    const copy = encodeFooter(footer);
    const bat = Buffer.alloc(blocksAt - BAT_OFFSET, 0xff);
    await writeExactly(file, Buffer.concat([copy, header, bat]), 0);
    if (parentPath !== undefined) await writeLocators(file, locators, path, parentPath);
    const end = locators.reduce((at, { spaceBytes }) => at + spaceBytes, blocksAt);
    await writeExactly(file, copy, end);
  } catch (error) {
    await rm(path);
    throw error;
  } finally {
    await file.close();
  }
}

function vhdOf(file: FileHandle, path: string, metadata: Metadata, asTapdisk: boolean): Vhd {
  const { footer, header } = metadata;
  let { end, hasFooter } = metadata;
  let lastWrite: Promise<unknown> = Promise.resolve();
  const check = (sector: number, sectors: number) => {
    if (!Number.isInteger(sectors) || sector < 0 || (sector + sectors) * SECTOR_BYTES > footer.virtualBytes)
      throw new VhdError(`${resolve(path)}: ${sectors} sectors from ${sector} on are not within the disk`);
  };
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = lastWrite.then(work);
    lastWrite = turn.catch(() => undefined);
    return turn;
  };
  const append = async (block: number): Promise<number> => {
    const at = end;
    hasFooter = false;
    end = await appendBlock(file, header, block, at);
    return at;
  };
  const write = async (piece: Piece, data: Buffer): Promise<void> => {
    const held = await findBlock(file, header, piece.block);
    // Zeros that nothing lies under are not written.
    if (held === undefined && footer.type === 'dynamic' && isZero(piece, data)) return;
    await writePiece(file, held ?? (await append(piece.block)), piece, data);
  };
  return {
    ...footer,
    parentUuid: header.parent?.uuid ?? null,
    parentName: header.parent?.name ?? null,
    allocate: (block) =>
      inTurn(async () => {
        if ((await findBlock(file, header, block)) !== undefined) return false;
        await append(block);
        return true;
      }),
    async writeSectors(sector, data) {
      check(sector, data.length / SECTOR_BYTES);
      await inTurn(async () => {
        for (const piece of pieces(sector, data.length / SECTOR_BYTES)) await write(piece, data);
        if (asTapdisk || hasFooter) return;
        await restoreFooter(file, end);
        hasFooter = true;
      });
    },
    async readSectors(sector, count) {
      check(sector, count);
      const data = Buffer.alloc(count * SECTOR_BYTES);
      const present = new Array<boolean>(count).fill(false);
      for (const piece of pieces(sector, count)) await readPiece(file, header, piece, data, present);
      return { data, present };
    },
    heldBlocks: () => heldBlocks(file, header),
    async close() {
      await lastWrite;
      await file.close();
    },
  };
}
