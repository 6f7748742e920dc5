/**
 * Builds VHD files as the specification ("Virtual Hard Disk Image Format Specification", Microsoft, 2006) and libvhd lay
 * them out, and, by request, as they should not be. Independent of local/pool's writer.
 */
const SECTOR = 512;
const UNUSED = 0xffff_ffff;
export const BLOCK = 2 ** 21;

/** Sectors that a layer holds. */
export interface Run {
  readonly sector: number;
  readonly count: number;
  /** What they hold; 0 is zeros. */
  readonly seed: number;
}

export interface VhdSpec {
  /** The footer's number, of which its UUID is made. */
  readonly id: number;
  readonly type?: number;
  readonly virtualBytes: number;
  readonly blockBytes?: number;
  readonly runs?: readonly Run[];
  /** The parent's `id`, and what its file is called. */
  readonly parent?: { readonly id: number; readonly name: string };
  readonly headerAt?: number;
  /** Bytes between the end of the header and the BAT. */
  readonly gapBeforeBat?: number;
  /** What the BAT has room for; the disk's blocks, unless given. */
  readonly batEntries?: number;
  /** Where the parent's locators are: in front of the BAT, behind it, or nowhere. */
  readonly locators?: 'before' | 'behind' | 'none';
  /** Blocks by their number in the order in which they stand in the file; ascending, unless given. */
  readonly order?: readonly number[];
  /** Bytes of something else in front of each block. */
  readonly gap?: number;
  /** Fills what no bit of a bitmap stands for, and what is behind the disk's end, with rubbish. */
  readonly stale?: boolean;
  readonly creator?: string;
  readonly creatorVersion?: number;
  /** Seconds since 2000. */
  readonly createdAt?: number;
  readonly hidden?: boolean;
}

/** A file, and where its parts are, for those who damage it. */
export interface Built {
  readonly bytes: Buffer;
  readonly headerAt: number;
  readonly batAt: number;
  /** Byte offsets of the blocks' bitmaps by block number. */
  readonly blocks: ReadonlyMap<number, number>;
}

export const uuidOf = (id: number) =>
  Buffer.from(`00000000000040008000${id.toString(16).padStart(12, '0')}`, 'hex');

/** The bytes that a run's sector holds: the same for the same seed and sector. */
export function sectorOf(seed: number, sector: number): Buffer {
  const data = Buffer.alloc(SECTOR);
  for (let i = 0; seed > 0 && i < SECTOR; i++) data[i] = 1 + ((seed * 31 + sector * 7 + i) % 255);
  return data;
}

export function buildVhd(spec: VhdSpec): Built {
  return spec.type === 2 ? fixedVhd(spec) : sparseVhd(spec);
}

function fixedVhd(spec: VhdSpec): Built {
  const data = Buffer.alloc(spec.virtualBytes);
  for (const { sector, count, seed } of spec.runs ?? [])
    for (let at = sector; at < sector + count; at++) sectorOf(seed, at).copy(data, at * SECTOR);
  const bytes = Buffer.concat([data, footerOf(spec, UNUSED * 2 ** 32 + UNUSED)]);
  return { bytes, headerAt: 0, batAt: 0, blocks: new Map() };
}

function sparseVhd(spec: VhdSpec): Built {
  const { virtualBytes, blockBytes = BLOCK, headerAt = SECTOR, gap = 0, locators = 'behind', parent } = spec;
  const batEntries = spec.batEntries ?? (blockBytes ? Math.ceil(virtualBytes / blockBytes) : 1);
  const text = parent && locators !== 'none' ? locatorTexts(parent.name) : [];
  let end = headerAt + 1024;
  const placed: Placed[] = [];
  const placeLocators = () => {
    for (const [code, data] of text) {
      placed.push({ code, data, at: end });
      end += SECTOR;
    }
  };
  if (locators === 'before') placeLocators();
  const batAt = end + (spec.gapBeforeBat ?? 0);
  end = batAt + aligned(batEntries * 4);
  if (locators === 'behind') placeLocators();
  const runs = spec.runs ?? [];
  const blocks = new Map<number, number>();
  const stride = bitmapBytes(blockBytes) + blockBytes;
  for (const number of spec.order ?? heldBy(runs, blockBytes)) {
    blocks.set(number, end + gap);
    end += gap + stride;
  }
  const bytes = Buffer.alloc(end + SECTOR, gap > 0 ? 0xee : 0);
  bytes.fill(0, 0, batAt);
  bytes.fill(0xff, batAt, batAt + aligned(batEntries * 4));
  for (const [number, at] of blocks) {
    bytes.writeUInt32BE(at / SECTOR, batAt + number * 4);
    bytes.fill(0, at, at + bitmapBytes(blockBytes));
    bytes.fill(spec.stale ? 0xdd : 0, at + bitmapBytes(blockBytes), at + stride);
  }
  for (const { sector, count, seed } of runs)
    for (let at = sector; at < sector + count; at++) writeSector(bytes, blocks, blockBytes, at, seed);
  if (spec.stale) markBehindEnd(bytes, blocks, spec);
  for (const { data, at } of placed) bytes.fill(0, at, at + SECTOR) && data.copy(bytes, at);
  headerOf({ blockBytes, batAt, batEntries, parent, placed }).copy(bytes, headerAt);
  const footer = footerOf(spec, headerAt);
  footer.copy(bytes, 0);
  footer.copy(bytes, bytes.length - SECTOR);
  return { bytes, headerAt, batAt, blocks };
}

function heldBy(runs: readonly Run[], blockBytes: number): number[] {
  const perBlock = blockBytes / SECTOR;
  const held = new Set<number>();
  for (const { sector, count } of runs)
    for (let block = Math.floor(sector / perBlock); block * perBlock < sector + count; block++)
      held.add(block);
  return [...held].sort((a, b) => a - b);
}

function writeSector(
  bytes: Buffer,
  blocks: ReadonlyMap<number, number>,
  blockBytes: number,
  sector: number,
  seed: number,
): void {
  const perBlock = blockBytes / SECTOR;
  const at = blocks.get(Math.floor(sector / perBlock)) ?? 0;
  const inBlock = sector % perBlock;
  bytes[at + (inBlock >> 3)] = (bytes[at + (inBlock >> 3)] ?? 0) | (0x80 >> (inBlock & 7));
  sectorOf(seed, sector).copy(bytes, at + bitmapBytes(blockBytes) + inBlock * SECTOR);
}

/** All sectors of the last block that are behind the disk's end, as a disk that was shrunk, or a coalesce, leaves them. */
function markBehindEnd(bytes: Buffer, blocks: ReadonlyMap<number, number>, spec: VhdSpec): void {
  const { virtualBytes, blockBytes = BLOCK } = spec;
  const perBlock = blockBytes / SECTOR;
  const last = virtualBytes / SECTOR;
  const block = Math.floor(last / perBlock);
  if (!blocks.has(block)) return;
  for (let sector = last; sector < (block + 1) * perBlock; sector++)
    writeSector(bytes, blocks, blockBytes, sector, 0xdd);
}

interface Placed {
  readonly code: string;
  readonly data: Buffer;
  readonly at: number;
}

function headerOf(of: {
  blockBytes: number;
  batAt: number;
  batEntries: number;
  parent: VhdSpec['parent'];
  placed: readonly Placed[];
}): Buffer {
  const header = Buffer.alloc(1024);
  header.write('cxsparse', 0, 'latin1');
  header.fill(0xff, 8, 16);
  header.writeBigUInt64BE(BigInt(of.batAt), 16);
  header.writeUInt32BE(0x10000, 24);
  header.writeUInt32BE(of.batEntries, 28);
  header.writeUInt32BE(of.blockBytes, 32);
  if (of.parent) {
    if (of.parent.id > 0) uuidOf(of.parent.id).copy(header, 40);
    header.writeUInt32BE(700_000_000, 56);
    Buffer.from(of.parent.name, 'utf16le').swap16().copy(header, 64);
  }
  for (const [slot, { code, data, at }] of of.placed.entries()) {
    const entry = 576 + slot * 24;
    header.write(code, entry, 'latin1');
    header.writeUInt32BE(SECTOR, entry + 4);
    header.writeUInt32BE(data.length, entry + 8);
    header.writeBigUInt64BE(BigInt(at), entry + 16);
  }
  return withChecksum(header, 36);
}

/** `headerAt` is all ones in a fixed VHD, which has none. */
function footerOf(spec: VhdSpec, headerAt: number): Buffer {
  const footer = Buffer.alloc(SECTOR);
  footer.write('conectix', 0, 'latin1');
  footer.writeUInt32BE(2, 8);
  footer.writeUInt32BE(0x10000, 12);
  footer.writeBigUInt64BE(spec.type === 2 ? 0xffff_ffff_ffff_ffffn : BigInt(headerAt), 16);
  footer.writeUInt32BE(spec.createdAt ?? 700_000_000, 24);
  footer.write(spec.creator ?? 'tap\0', 28, 'latin1');
  footer.writeUInt32BE(spec.creatorVersion ?? 0x10001, 32);
  footer.writeBigUInt64BE(BigInt(spec.virtualBytes), 40);
  footer.writeBigUInt64BE(BigInt(spec.virtualBytes), 48);
  footer.writeUInt32BE(spec.type ?? (spec.parent ? 4 : 3), 60);
  uuidOf(spec.id).copy(footer, 68);
  footer.writeUInt8(spec.hidden ? 1 : 0, 85);
  return withChecksum(footer, 64);
}

/** The one's complement of the sum of all bytes but its own four. */
export function withChecksum(structure: Buffer, at: number): Buffer {
  structure.writeUInt32BE(0, at);
  structure.writeUInt32BE(UNUSED - structure.reduce((sum, byte) => sum + byte, 0), at);
  return structure;
}

function locatorTexts(name: string): [code: string, data: Buffer][] {
  return [
    ['MacX', Buffer.from(`file://./${name}`)],
    ['W2ku', Buffer.from(`.\\${name}`, 'utf16le')],
    ['W2ru', Buffer.from(`.\\${name}`, 'utf16le')],
  ];
}

export function bitmapBytes(blockBytes: number): number {
  return aligned(Math.ceil(blockBytes / SECTOR / 8));
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / SECTOR) * SECTOR;
}
