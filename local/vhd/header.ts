import type { Footer } from './footer.ts';
import {
  BLOCK_BYTES,
  decodeUuid,
  encodeUuid,
  fromVhdTime,
  HEADER_BYTES,
  toVhdTime,
  VhdError,
  verify,
  withChecksum,
} from './format.ts';

export interface Locator {
  /** Four characters: `MacX`, `W2ku`, `W2ru`. */
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

const headerField = { checksum: 36, parentUuid: 40, parentTime: 56, parentName: 64, locators: 576 };
const PARENT_NAME_BYTES = 512;
const LOCATOR_BYTES = 24;
const LOCATOR_COUNT = 8;

/** A dynamic disk's header of 1,024 bytes. */
export function encodeHeader(header: Header): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.write('cxsparse', 0, 'latin1');
  bytes.fill(0xff, 8, 16);
  bytes.writeBigUInt64BE(BigInt(header.batOffset), 16);
  bytes.writeUInt32BE(0x00010000, 24);
  bytes.writeUInt32BE(header.batEntries, 28);
  bytes.writeUInt32BE(BLOCK_BYTES, 32);
  if (header.parent) encodeParent(bytes, header.parent);
  return withChecksum(bytes, headerField.checksum);
}

function encodeParent(bytes: Buffer, parent: Parent): void {
  encodeUuid(parent.uuid).copy(bytes, headerField.parentUuid);
  bytes.writeUInt32BE(toVhdTime(parent.modifiedAt), headerField.parentTime);
  const name = Buffer.from(parent.name, 'utf16le').swap16();
  if (name.length > PARENT_NAME_BYTES)
    throw new VhdError(`The parent's file name is too long: ${parent.name}`);
  name.copy(bytes, headerField.parentName);
  for (const [slot, locator] of parent.locators.entries()) {
    const at = headerField.locators + slot * LOCATOR_BYTES;
    bytes.write(locator.code, at, 'latin1');
    // The space is in bytes, as vhd-util and Microsoft write it, although the specification says sectors.
    bytes.writeUInt32BE(locator.spaceBytes, at + 4);
    bytes.writeUInt32BE(locator.dataBytes, at + 8);
    bytes.writeBigUInt64BE(BigInt(locator.offset), at + 16);
  }
}

/** @throws VhdError for another cookie, version or block size than 2 MiB, a wrong checksum, or another header behind */
export function decodeHeader(bytes: Buffer, type: Footer['type']): Header {
  verify(bytes, 'cxsparse', headerField.checksum, 'header');
  if (bytes.readUInt32BE(24) !== 0x00010000 || bytes.readBigUInt64BE(8) !== 0xffff_ffff_ffff_ffffn)
    throw new VhdError('The VHD header is of another version');
  const blockSize = bytes.readUInt32BE(32);
  if (blockSize !== BLOCK_BYTES) throw new VhdError(`VHD blocks of ${blockSize} bytes are not supported`);
  return {
    batOffset: Number(bytes.readBigUInt64BE(16)),
    batEntries: bytes.readUInt32BE(28),
    parent: type === 'differencing' ? decodeParent(bytes) : undefined,
  };
}

function decodeParent(bytes: Buffer): Parent {
  const name = Buffer.from(
    bytes.subarray(headerField.parentName, headerField.parentName + PARENT_NAME_BYTES),
  );
  const locators = Array.from({ length: LOCATOR_COUNT }, (_, slot) => {
    const at = headerField.locators + slot * LOCATOR_BYTES;
    return {
      code: bytes.toString('latin1', at, at + 4).replace('\0\0\0\0', 'none'),
      spaceBytes: bytes.readUInt32BE(at + 4),
      dataBytes: bytes.readUInt32BE(at + 8),
      offset: Number(bytes.readBigUInt64BE(at + 16)),
    };
  });
  return {
    uuid: decodeUuid(bytes, headerField.parentUuid),
    name: name.swap16().toString('utf16le').replace(/\0.*$/s, ''),
    modifiedAt: fromVhdTime(bytes.readUInt32BE(headerField.parentTime)),
    locators: locators.filter(({ code }) => code !== 'none'),
  };
}
