/**
 * What footer and header of a VHD file have in common: big endian, as Microsoft's "Virtual Hard Disk Image Format Specification"
 * lays them out and XenServer's vhd-util fills them in (blktap: include/vhd.h, vhd/lib/libvhd.c).
 */

export const SECTOR_BYTES = 512;
export const BLOCK_BYTES = 2 * 1024 * 1024;
export const SECTORS_PER_BLOCK = BLOCK_BYTES / SECTOR_BYTES;
/** One bit for each of a block's 4,096 sectors: exactly one sector, so vhd-util's padding to 512 bytes adds nothing. */
export const BITMAP_BYTES = SECTORS_PER_BLOCK / 8;

export const FOOTER_BYTES = 512;
export const HEADER_OFFSET = 512;
export const HEADER_BYTES = 1024;
export const BAT_OFFSET = HEADER_OFFSET + HEADER_BYTES;
/** BAT entry of a block that this file does not hold. */
export const UNUSED_BLOCK = 0xffffffff;
/** The largest disk that XenServer keeps in a VHD: the rest of 2 TiB is left for metadata (xapi.md, section 5). */
export const MAX_VIRTUAL_BYTES = 2040 * 1024 ** 3;

/** A VHD file that cannot be read, or was asked for something it cannot do. */
export class VhdError extends Error {
  override readonly name = 'VhdError';
}

/** Rounds up to whole sectors. */
export function sectorAligned(bytes: number): number {
  return Math.ceil(bytes / SECTOR_BYTES) * SECTOR_BYTES;
}

export function blockCount(virtualBytes: number): number {
  return Math.ceil(virtualBytes / BLOCK_BYTES);
}

/** Where the space for blocks begins in a file without parent locators. */
export function endOfBat(batEntries: number): number {
  return BAT_OFFSET + sectorAligned(4 * batEntries);
}

const EPOCH_SECONDS = Date.UTC(2000, 0, 1) / 1000;

/** The one's complement of the sum of all bytes but the checksum's own four. */
function checksum(bytes: Buffer, at: number): number {
  let sum = 0;
  for (const [offset, byte] of bytes.entries()) if (offset < at || offset >= at + 4) sum += byte;
  return ~sum >>> 0;
}

/** Sets the checksum in the buffer, and returns it. */
export function withChecksum(bytes: Buffer, at: number): Buffer {
  bytes.writeUInt32BE(checksum(bytes, at), at);
  return bytes;
}

/** @throws VhdError for another cookie or a wrong checksum */
export function verify(bytes: Buffer, cookie: string, checksumAt: number, what: string): void {
  if (bytes.toString('latin1', 0, 8) !== cookie) throw new VhdError(`This is no VHD ${what}: no ${cookie}`);
  if (bytes.readUInt32BE(checksumAt) !== checksum(bytes, checksumAt))
    throw new VhdError(`The checksum of the VHD ${what} is wrong`);
}

export function encodeUuid(uuid: string): Buffer {
  const bytes = Buffer.from(uuid.replaceAll('-', ''), 'hex');
  if (bytes.length !== 16) throw new VhdError(`Not a UUID: ${uuid}`);
  return bytes;
}

export function decodeUuid(bytes: Buffer, at: number): string {
  const hex = bytes.toString('hex', at, at + 16);
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/**
 * Whole seconds since 2000, UTC. A time in the future becomes now: Nova's importer refuses such a disk
 * (nova-snapshots.md, section 4), and a simulated clock may run ahead.
 */
export function toVhdTime(time: Date): number {
  const seconds = Math.floor(Math.min(time.getTime(), Date.now()) / 1000) - EPOCH_SECONDS;
  return Math.max(0, seconds);
}

export function fromVhdTime(seconds: number): Date {
  return new Date((seconds + EPOCH_SECONDS) * 1000);
}
