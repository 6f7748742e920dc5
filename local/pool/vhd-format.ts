/**
 * The two fixed structures of a VHD file, big endian, as Microsoft's "Virtual Hard Disk Image Format Specification"
 * lays them out and XenServer's vhd-util fills them in (blktap: include/vhd.h, vhd/lib/libvhd.c).
 */

export const sectorBytes = 512;
export const blockBytes = 2 * 1024 * 1024;
export const sectorsPerBlock = blockBytes / sectorBytes;
/** One bit for each of a block's 4,096 sectors: exactly one sector, so vhd-util's padding to 512 bytes adds nothing. */
export const bitmapBytes = sectorsPerBlock / 8;

export const footerBytes = 512;
export const headerOffset = 512;
export const headerBytes = 1024;
export const batOffset = headerOffset + headerBytes;
/** BAT entry of a block that this file does not hold. */
export const unusedBlock = 0xffffffff;
/** The largest disk that XenServer keeps in a VHD: the rest of 2 TiB is left for metadata (xapi.md, section 5). */
export const maxVirtualBytes = 2040 * 1024 ** 3;

/** A VHD file that cannot be read, or was asked for something it cannot do. */
export class VhdError extends Error {
  override readonly name = 'VhdError';
}

export interface Footer {
  readonly uuid: string;
  readonly type: 'dynamic' | 'differencing';
  readonly virtualBytes: number;
  readonly createdAt: Date;
  readonly hidden: boolean;
}

export interface Locator {
  /** Four characters: `MACX`, `W2ku`, `W2ru`; `none` where the header's slot is empty. */
  readonly code: string;
  readonly spaceBytes: number;
  readonly dataBytes: number;
  readonly offset: number;
}

export interface Header {
  readonly batOffset: number;
  readonly batEntries: number;
  /** `undefined` unless the file is a differencing one. */
  readonly parent: Parent | undefined;
}

export interface Parent {
  readonly uuid: string;
  readonly name: string;
  readonly modifiedAt: Date;
  readonly locators: readonly Locator[];
}

const footerField = { checksum: 64, uuid: 68, saved: 84, hidden: 85 };
const headerField = { checksum: 36, parentUuid: 40, parentTime: 56, parentName: 64, locators: 576 };
const parentNameBytes = 512;
const locatorBytes = 24;
const locatorCount = 8;
const typeCodes = { dynamic: 3, differencing: 4 } as const;
const epochSeconds = Date.UTC(2000, 0, 1) / 1000;

/**
 * 1.1, although vhd-util writes 1.3 today: from 1.2 on, libvhd takes a batmap for granted and refuses a file without
 * one; in 1.1 it may be missing (vhd_has_batmap).
 */
const creatorVersion = 0x00010001;

/** Rounds up to whole sectors. */
export function sectorAligned(bytes: number): number {
  return Math.ceil(bytes / sectorBytes) * sectorBytes;
}

export function blockCount(virtualBytes: number): number {
  return Math.ceil(virtualBytes / blockBytes);
}

/** Where the space for blocks begins in a file without parent locators. */
export function endOfBat(batEntries: number): number {
  return batOffset + sectorAligned(4 * batEntries);
}

/**
 * A footer of 512 bytes. A creation time in the future is written as now: Nova's importer refuses such a disk
 * (nova-snapshots.md, section 4), and a simulated clock may run ahead.
 */
export function encodeFooter(footer: Footer): Buffer {
  const bytes = Buffer.alloc(footerBytes);
  bytes.write('conectix', 0, 'latin1');
  bytes.writeUInt32BE(2, 8);
  bytes.writeUInt32BE(0x00010000, 12);
  bytes.writeBigUInt64BE(BigInt(headerOffset), 16);
  bytes.writeUInt32BE(toVhdTime(footer.createdAt), 24);
  bytes.write('tap\0', 28, 'latin1');
  bytes.writeUInt32BE(creatorVersion, 32);
  bytes.writeBigUInt64BE(BigInt(footer.virtualBytes), 40);
  bytes.writeBigUInt64BE(BigInt(footer.virtualBytes), 48);
  bytes.writeUInt32BE(geometry(footer.virtualBytes), 56);
  bytes.writeUInt32BE(typeCodes[footer.type], 60);
  encodeUuid(footer.uuid).copy(bytes, footerField.uuid);
  bytes.writeUInt8(footer.hidden ? 1 : 0, footerField.hidden);
  return withChecksum(bytes, footerField.checksum);
}

/** The same footer with another hidden flag; every other byte is kept. */
export function withHidden(footer: Buffer, hidden: boolean): Buffer {
  const bytes = Buffer.from(footer);
  bytes.writeUInt8(hidden ? 1 : 0, footerField.hidden);
  return withChecksum(bytes, footerField.checksum);
}

/** @throws VhdError for another cookie, a wrong checksum, or a type that is neither dynamic nor differencing */
export function decodeFooter(bytes: Buffer): Footer {
  verify(bytes, 'conectix', footerField.checksum, 'footer');
  const typeCode = bytes.readUInt32BE(60);
  const type = typeCode === 3 ? 'dynamic' : typeCode === 4 ? 'differencing' : undefined;
  if (!type) throw new VhdError(`VHD type ${typeCode} is neither dynamic nor differencing`);
  return {
    uuid: decodeUuid(bytes, footerField.uuid),
    type,
    virtualBytes: Number(bytes.readBigUInt64BE(48)),
    createdAt: fromVhdTime(bytes.readUInt32BE(24)),
    hidden: bytes.readUInt8(footerField.hidden) !== 0,
  };
}

/** A dynamic disk's header of 1,024 bytes. */
export function encodeHeader(header: Header): Buffer {
  const bytes = Buffer.alloc(headerBytes);
  bytes.write('cxsparse', 0, 'latin1');
  bytes.fill(0xff, 8, 16);
  bytes.writeBigUInt64BE(BigInt(header.batOffset), 16);
  bytes.writeUInt32BE(0x00010000, 24);
  bytes.writeUInt32BE(header.batEntries, 28);
  bytes.writeUInt32BE(blockBytes, 32);
  if (header.parent) encodeParent(bytes, header.parent);
  return withChecksum(bytes, headerField.checksum);
}

function encodeParent(bytes: Buffer, parent: Parent): void {
  encodeUuid(parent.uuid).copy(bytes, headerField.parentUuid);
  bytes.writeUInt32BE(toVhdTime(parent.modifiedAt), headerField.parentTime);
  const name = Buffer.from(parent.name, 'utf16le').swap16();
  if (name.length > parentNameBytes) throw new VhdError(`The parent's file name is too long: ${parent.name}`);
  name.copy(bytes, headerField.parentName);
  for (const [slot, locator] of parent.locators.entries()) {
    const at = headerField.locators + slot * locatorBytes;
    bytes.write(locator.code, at, 'latin1');
    // In bytes, as vhd-util and Microsoft write it, although the specification says sectors.
    bytes.writeUInt32BE(locator.spaceBytes, at + 4);
    bytes.writeUInt32BE(locator.dataBytes, at + 8);
    bytes.writeBigUInt64BE(BigInt(locator.offset), at + 16);
  }
}

/** @throws VhdError for another cookie, a wrong checksum or another block size than 2 MiB */
export function decodeHeader(bytes: Buffer, type: Footer['type']): Header {
  verify(bytes, 'cxsparse', headerField.checksum, 'header');
  const blockSize = bytes.readUInt32BE(32);
  if (blockSize !== blockBytes) throw new VhdError(`VHD blocks of ${blockSize} bytes are not supported`);
  return {
    batOffset: Number(bytes.readBigUInt64BE(16)),
    batEntries: bytes.readUInt32BE(28),
    parent: type === 'differencing' ? decodeParent(bytes) : undefined,
  };
}

function decodeParent(bytes: Buffer): Parent {
  const name = Buffer.from(bytes.subarray(headerField.parentName, headerField.parentName + parentNameBytes));
  const locators = Array.from({ length: locatorCount }, (_, slot) => {
    const at = headerField.locators + slot * locatorBytes;
    return {
      code: bytes.toString('latin1', at, at + 4).replace('\0\0\0\0', 'none'),
      spaceBytes: bytes.readUInt32BE(at + 4),
      dataBytes: bytes.readUInt32BE(at + 8),
      offset: Number(bytes.readBigUInt64BE(at + 16)),
    };
  });
  return {
    uuid: decodeUuid(bytes, headerField.parentUuid),
    name: name.swap16().toString('utf16le').replace(/\0+$/, ''),
    modifiedAt: fromVhdTime(bytes.readUInt32BE(headerField.parentTime)),
    locators: locators.filter(({ code }) => code !== 'none'),
  };
}

/** The one's complement of the sum of all bytes but the checksum's own four. */
function checksum(bytes: Buffer, at: number): number {
  let sum = 0;
  for (const [offset, byte] of bytes.entries()) if (offset < at || offset >= at + 4) sum += byte;
  return ~sum >>> 0;
}

function withChecksum(bytes: Buffer, at: number): Buffer {
  bytes.writeUInt32BE(checksum(bytes, at), at);
  return bytes;
}

function verify(bytes: Buffer, cookie: string, checksumAt: number, what: string): void {
  if (bytes.toString('latin1', 0, 8) !== cookie) throw new VhdError(`This is no VHD ${what}: no ${cookie}`);
  if (bytes.readUInt32BE(checksumAt) !== checksum(bytes, checksumAt))
    throw new VhdError(`The checksum of the VHD ${what} is wrong`);
}

function encodeUuid(uuid: string): Buffer {
  const bytes = Buffer.from(uuid.replaceAll('-', ''), 'hex');
  if (bytes.length !== 16) throw new VhdError(`Not a UUID: ${uuid}`);
  return bytes;
}

function decodeUuid(bytes: Buffer, at: number): string {
  const hex = bytes.toString('hex', at, at + 16);
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function toVhdTime(time: Date): number {
  const seconds = Math.floor(Math.min(time.getTime(), Date.now()) / 1000) - epochSeconds;
  return Math.max(0, seconds);
}

function fromVhdTime(seconds: number): Date {
  return new Date((seconds + epochSeconds) * 1000);
}

/** Cylinders, heads and sectors a track by the specification's appendix: what a BIOS would be told. */
function geometry(virtualBytes: number): number {
  const sectors = Math.min(Math.ceil(virtualBytes / sectorBytes), 65535 * 16 * 255);
  const large = sectors >= 65535 * 16 * 63;
  let perTrack = large ? 255 : 17;
  let tracks = Math.floor(sectors / perTrack);
  let heads = large ? 16 : Math.max(4, Math.ceil(tracks / 1024));
  for (const next of large ? [] : [31, 63]) {
    if (tracks < heads * 1024 && heads <= 16) break;
    perTrack = next;
    heads = 16;
    tracks = Math.floor(sectors / perTrack);
  }
  const cylinders = Math.floor(tracks / heads);
  return cylinders * 0x10000 + heads * 0x100 + perTrack;
}
