import { must } from './damage.ts';

const SECTOR = 512;
const UNUSED = 0xffff_ffff;
/** There is never a header behind the header. */
const NO_NEXT = 0xffff_ffff_ffff_ffffn;
/** The most that XenServer and the specification allow. */
const MOST_BYTES = 2040 * 2 ** 30;
const MOST_ENTRIES = 2 ** 21;
const BLOCK_SIZES = [2 ** 19, 2 ** 20, 2 ** 21, 2 ** 22, 2 ** 23, 2 ** 24];

export const FIXED = 2;
export const DIFFERENCING = 4;

/** What a VHD's footer says. */
export interface Footer {
  readonly type: number;
  readonly uuid: string;
  /** The disk's size. */
  readonly virtualBytes: number;
  /** Where the header is. */
  readonly headerAt: number;
}

/**
 * @returns undefined where there is no footer, or a damaged one
 * @throws ImageDamaged when what it says cannot be
 */
export function footerIn(sector: Buffer): Footer | undefined {
  if (!hasChecksum(sector, 'conectix', 64) && !hasChecksum(withoutHidden(sector), 'conectix', 64))
    return undefined;
  const type = sector.readUInt32BE(60);
  must([FIXED, 3, DIFFERENCING].includes(type), `its type, ${type}, is not that of a disk`);
  const virtualBytes = Number(sector.readBigUInt64BE(48));
  must(
    virtualBytes > 0 && virtualBytes <= MOST_BYTES && virtualBytes % SECTOR === 0,
    `a disk cannot have ${virtualBytes} bytes`,
  );
  return { type, uuid: uuidAt(sector, 68), virtualBytes, headerAt: Number(sector.readBigUInt64BE(16)) };
}

/** The first tools of Xen hid a base copy without another checksum, in one of its two footers (libvhd.c, vhd_validate_footer). */
export function sameFooter(one: Buffer, other: Buffer): boolean {
  return one.equals(other) || withoutHidden(one).equals(withoutHidden(other));
}

function withoutHidden(footer: Buffer): Buffer {
  const early = footer.toString('latin1', 28, 31) === 'tap' && footer.readUInt32BE(32) === 0x10001;
  const changed = Buffer.from(footer);
  if (early) changed.writeUInt8(0, 85);
  return changed;
}

/** What the header of a dynamic or differencing VHD says. */
export interface Header {
  readonly batAt: number;
  /** What the BAT has room for, and what of it the disk needs. */
  readonly batEntries: number;
  readonly usedEntries: number;
  readonly blockBytes: number;
  readonly bitmapBytes: number;
  readonly parentUuid: string | undefined;
}

/** @throws ImageDamaged when it is damaged, or what it says cannot be in a file of `size` bytes */
export function headerIn(bytes: Buffer, { type, virtualBytes, headerAt }: Footer, size: number): Header {
  must(hasChecksum(bytes, 'cxsparse', 36), 'its header is damaged');
  const another = bytes.readUInt32BE(24) !== 0x10000 || bytes.readBigUInt64BE(8) !== NO_NEXT;
  must(!another, 'its header is of another version');
  const batAt = Number(bytes.readBigUInt64BE(16));
  const [batEntries, blockBytes] = [bytes.readUInt32BE(28), bytes.readUInt32BE(32)];
  must(BLOCK_SIZES.includes(blockBytes), `its blocks have a wrong size, ${blockBytes}`);
  const usedEntries = Math.ceil(virtualBytes / blockBytes);
  must(usedEntries <= batEntries && usedEntries <= MOST_ENTRIES, 'its BAT has a wrong length');
  must(batAt % SECTOR === 0 && batAt >= headerAt + 1024, 'its BAT is not behind its header');
  must(batAt + batEntries * 4 <= size - SECTOR, 'its BAT reaches beyond its end');
  const bitmapBytes = Math.ceil(blockBytes / SECTOR / 8 / SECTOR) * SECTOR;
  const parentUuid = type === DIFFERENCING ? uuidAt(bytes, 40) : undefined;
  must(!parentUuid || /[^0-]/.test(parentUuid), 'its parent is a raw disk, and no VHD');
  return { batAt, batEntries, usedEntries, blockBytes, bitmapBytes, parentUuid };
}

/** Where a block's bitmap is, which its data follows. */
export interface HeldBlock {
  readonly number: number;
  readonly offset: number;
}

/**
 * The blocks that are there, as they follow each other in a file of `size` bytes.
 * @throws ImageDamaged where one overlaps another, the BAT, or the file's end
 */
export function* heldBlocks(bat: Buffer, header: Header, size: number): Generator<HeldBlock> {
  // Sector and number in one: 32 bits and 21, which is just what a double holds exactly.
  const held = new Float64Array(bat.length / 4);
  let count = 0;
  for (let number = 0; number < held.length; number++) {
    const sector = bat.readUInt32BE(number * 4);
    if (sector !== UNUSED) held[count++] = sector * MOST_ENTRIES + number;
  }
  const sorted = held.subarray(0, count).sort();
  const stride = header.bitmapBytes + header.blockBytes;
  let free = header.batAt + header.batEntries * 4;
  for (const each of sorted) {
    const number = each % MOST_ENTRIES;
    const offset = ((each - number) / MOST_ENTRIES) * SECTOR;
    must(offset >= free, `block ${number} overlaps what is before it`);
    must(offset + stride <= size - SECTOR, `block ${number} reaches beyond its end`);
    free = offset + stride;
  }
  for (const each of sorted) {
    const number = each % MOST_ENTRIES;
    yield { number, offset: ((each - number) / MOST_ENTRIES) * SECTOR };
  }
}

/** The checksum is the one's complement of the sum of all bytes but its own. */
function hasChecksum(structure: Buffer, cookie: string, at: number): boolean {
  const own = structure.subarray(at, at + 4);
  const sum = (bytes: Buffer) => bytes.reduce((total, byte) => total + byte, 0);
  const checksum = UNUSED - (sum(structure) - sum(own));
  return structure.toString('latin1', 0, cookie.length) === cookie && own.readUInt32BE() === checksum;
}

function uuidAt(structure: Buffer, at: number): string {
  return structure.toString('hex', at, at + 16).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
