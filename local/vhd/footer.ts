import {
  decodeUuid,
  encodeUuid,
  FOOTER_BYTES,
  fromVhdTime,
  HEADER_OFFSET,
  SECTOR_BYTES,
  toVhdTime,
  VhdError,
  verify,
  withChecksum,
} from './format.ts';

/** What stands at the end of a VHD file and, as a copy, at its beginning. */
export interface Footer {
  readonly uuid: string;
  readonly type: 'dynamic' | 'differencing';
  readonly virtualBytes: number;
  readonly createdAt: Date;
  readonly hidden: boolean;
}

const footerField = { checksum: 64, uuid: 68, hidden: 85 };
const typeCodes = { dynamic: 3, differencing: 4 } as const;

/**
 * 1.1, although vhd-util writes 1.3 today: from 1.2 on, libvhd takes a batmap for granted and refuses a file without
 * one; in 1.1 it may be missing (vhd_has_batmap).
 */
const CREATOR_VERSION = 0x00010001;

/** A footer of 512 bytes; a creation time in the future is written as now. */
export function encodeFooter(footer: Footer): Buffer {
  const bytes = Buffer.alloc(FOOTER_BYTES);
  bytes.write('conectix', 0, 'latin1');
  bytes.writeUInt32BE(2, 8);
  bytes.writeUInt32BE(0x00010000, 12);
  bytes.writeBigUInt64BE(BigInt(HEADER_OFFSET), 16);
  bytes.writeUInt32BE(toVhdTime(footer.createdAt), 24);
  bytes.write('tap\0', 28, 'latin1');
  bytes.writeUInt32BE(CREATOR_VERSION, 32);
  bytes.writeBigUInt64BE(BigInt(footer.virtualBytes), 40);
  bytes.writeBigUInt64BE(BigInt(footer.virtualBytes), 48);
  bytes.writeUInt32BE(geometry(footer.virtualBytes), 56);
  bytes.writeUInt32BE(typeCodes[footer.type], 60);
  encodeUuid(footer.uuid).copy(bytes, footerField.uuid);
  bytes.writeUInt8(footer.hidden ? 1 : 0, footerField.hidden);
  return withChecksum(bytes, footerField.checksum);
}

/** The footer with another hidden flag; every other byte is kept. */
export function withHidden(footer: Buffer, hidden: boolean): Buffer {
  const bytes = Buffer.from(footer);
  bytes.writeUInt8(hidden ? 1 : 0, footerField.hidden);
  return withChecksum(bytes, footerField.checksum);
}

/** The footer for a disk that has grown; the size that it began with is kept. */
export function withVirtualBytes(footer: Buffer, virtualBytes: number): Buffer {
  const bytes = Buffer.from(footer);
  bytes.writeBigUInt64BE(BigInt(virtualBytes), 48);
  bytes.writeUInt32BE(geometry(virtualBytes), 56);
  return withChecksum(bytes, footerField.checksum);
}

/**
 * @throws VhdError for another cookie, a wrong checksum, a type that is neither dynamic nor differencing, or a header that is
 *   not right behind the footer's copy, where vhd-util puts it
 */
export function decodeFooter(bytes: Buffer): Footer {
  verify(bytes, 'conectix', footerField.checksum, 'footer');
  const typeCode = bytes.readUInt32BE(60);
  const type = typeCode === 3 ? 'dynamic' : typeCode === 4 ? 'differencing' : undefined;
  if (!type) throw new VhdError(`VHD type ${typeCode} is neither dynamic nor differencing`);
  if (bytes.readBigUInt64BE(16) !== BigInt(HEADER_OFFSET))
    throw new VhdError(`A VHD header at ${bytes.readBigUInt64BE(16)} is not supported`);
  return {
    uuid: decodeUuid(bytes, footerField.uuid),
    type,
    virtualBytes: Number(bytes.readBigUInt64BE(48)),
    createdAt: fromVhdTime(bytes.readUInt32BE(24)),
    hidden: bytes.readUInt8(footerField.hidden) !== 0,
  };
}

/** Cylinders, heads and sectors a track by the specification's appendix: what a BIOS would be told. */
function geometry(virtualBytes: number): number {
  const sectors = Math.min(Math.ceil(virtualBytes / SECTOR_BYTES), 65535 * 16 * 255);
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
