import { type FileHandle, open } from 'node:fs/promises';

/**
 * One VHD file as Microsoft's specification describes it, written from that text and not from local/pool, so that a
 * mistake there is not repeated here.
 */
export interface LayerInfo {
  readonly path: string;
  readonly uuid: string;
  readonly type: 'fixed' | 'dynamic' | 'differencing';
  readonly virtualBytes: number;
  readonly hidden: boolean;
  readonly createdAt: Date;
  /** Present in a differencing file only. */
  readonly parentUuid: string | undefined;
  readonly parentName: string | undefined;
  /** Parent locators by platform code, decoded: `{ MacX: 'file://./base.vhd', W2ru: '.\\base.vhd' }`. */
  readonly locators: Readonly<Record<string, string>>;
  readonly blockBytes: number;
  readonly fileBytes: number;
  /** The byte offset of each block's bitmap, or `undefined`. */
  readonly blocks: readonly (number | undefined)[];
}

/** @throws Error that names the file and what in it the specification forbids */
export async function readLayer(path: string): Promise<LayerInfo> {
  const file = await open(path, 'r');
  try {
    return await parse(path, file);
  } finally {
    await file.close();
  }
}

/** Exactly `length` bytes. */
export async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
  if (bytesRead !== length) throw new Error(`only ${bytesRead} of ${length} bytes at ${offset}`);
  return buffer;
}

/** Bytes of the sector bitmap in front of each block's data. */
export function bitmapLength(blockBytes: number): number {
  return Math.ceil(blockBytes / 512 / 8 / 512) * 512;
}

async function parse(path: string, file: FileHandle): Promise<LayerInfo> {
  const must = (condition: boolean, rule: string) => {
    if (!condition) throw new Error(`${path}: ${rule}`);
  };
  const fileBytes = (await file.stat()).size;
  must(fileBytes >= 512 && fileBytes % 512 === 0, 'its length is that of no VHD');
  const footer = await readAt(file, fileBytes - 512, 512);
  must(footer.toString('latin1', 0, 8) === 'conectix', 'the footer has another cookie');
  must(footer.readUInt32BE(64) === onesComplement(footer, 64), 'the footer has a wrong checksum');
  must((footer.readUInt32BE(8) & 2) === 2, 'the reserved feature bit is not set');
  must(footer.readUInt32BE(12) === 0x10000, 'the footer has another version');
  must(
    footer.subarray(86).every((byte) => byte === 0),
    'the reserved end of the footer is not zero',
  );
  const type = new Map([
    [2, 'fixed' as const],
    [3, 'dynamic' as const],
    [4, 'differencing' as const],
  ]).get(footer.readUInt32BE(60));
  if (!type) throw new Error(`${path}: its type is neither fixed nor dynamic nor differencing`);
  const virtualBytes = Number(footer.readBigUInt64BE(48));
  must(virtualBytes > 0 && virtualBytes % 512 === 0, 'its size is not whole sectors');
  must(virtualBytes <= 2040 * 2 ** 30, 'its size is more than a VHD can hold');
  const createdAt = new Date(Date.UTC(2000, 0, 1) + footer.readUInt32BE(24) * 1000);
  must(createdAt.getTime() <= Date.now(), 'its time stamp is in the future');

  const known = {
    ...{ path, type, virtualBytes, createdAt, fileBytes },
    uuid: uuidAt(footer, 68),
    hidden: footer.readUInt8(85) === 1,
  };
  if (type === 'fixed') {
    must(fileBytes === virtualBytes + 512, 'it is not as long as its disk');
    return {
      ...known,
      parentUuid: undefined,
      parentName: undefined,
      locators: {},
      blockBytes: 2 ** 21,
      blocks: [],
    };
  }
  must(sameFooter(footer, await readAt(file, 0, 512)), 'the copy of the footer at 0 differs');

  const headerAt = Number(footer.readBigUInt64BE(16));
  const header = await readAt(file, headerAt, 1024);
  must(header.toString('latin1', 0, 8) === 'cxsparse', 'the header has another cookie');
  must(header.readUInt32BE(36) === onesComplement(header, 36), 'the header has a wrong checksum');
  must(header.readBigUInt64BE(8) === 0xffff_ffff_ffff_ffffn, 'the header has a data offset');
  must(header.readUInt32BE(24) === 0x10000, 'the header has another version');
  const batAt = Number(header.readBigUInt64BE(16));
  const entries = header.readUInt32BE(28);
  const blockBytes = header.readUInt32BE(32);
  must(Number.isInteger(Math.log2(blockBytes)) && blockBytes >= 4096, 'its block size is no power of two');
  must(blockBytes <= 2 ** 24, 'its block size is more than anybody writes');
  must(entries * blockBytes >= virtualBytes, 'the BAT is too short');
  must(batAt % 512 === 0 && batAt + entries * 4 <= fileBytes - 512, 'the BAT is not in the file');

  const locators = type === 'differencing' ? await readLocators(file, header) : [];
  const ends = [headerAt + 1024, batAt + entries * 4, ...locators.map(({ end }) => end)];
  const used = Math.ceil(virtualBytes / blockBytes);
  const bat = await readAt(file, batAt, used * 4);
  const blocks = Array.from({ length: used }, (_, block) => {
    const sector = bat.readUInt32BE(block * 4);
    return sector === 0xffff_ffff ? undefined : sector * 512;
  });
  const held = blocks.filter((at) => at !== undefined).sort((a, b) => a - b);
  const blockLength = bitmapLength(blockBytes) + blockBytes;
  must((held[0] ?? fileBytes) >= Math.max(...ends), 'a block overlaps the metadata');
  must(
    (held.at(-1) ?? 0) + (held.length && blockLength) <= fileBytes - 512,
    'a block reaches beyond the footer',
  );
  must(
    held.every((at, i) => i === 0 || at - (held[i - 1] ?? 0) >= blockLength),
    'two blocks overlap',
  );

  const child = type === 'differencing';
  return {
    ...known,
    parentUuid: child ? uuidAt(header, 40) : undefined,
    parentName: child
      ? new TextDecoder('utf-16be').decode(header.subarray(64, 576)).replace(/\0.*$/s, '')
      : undefined,
    locators: Object.fromEntries(locators.map(({ code, text }) => [code, text])),
    blockBytes,
    blocks,
  };
}

const PLATFORMS = ['Wi2r', 'Wi2k', 'W2ru', 'W2ku', 'Mac ', 'MacX'];

async function readLocators(file: FileHandle, header: Buffer) {
  const found = [];
  for (let at = 576; at < 768; at += 24) {
    const code = header.toString('latin1', at, at + 4);
    if (code === '\0\0\0\0') continue;
    if (!PLATFORMS.includes(code)) throw new Error(`no platform has the locator code ${code}`);
    const offset = Number(header.readBigUInt64BE(at + 16));
    const data = await readAt(file, offset, header.readUInt32BE(at + 8));
    const text = new TextDecoder(code === 'MacX' ? 'utf-8' : 'utf-16le').decode(data);
    found.push({ code, text, end: offset + Math.ceil(data.length / 512) * 512 });
  }
  return found;
}

function onesComplement(structure: Buffer, checksumAt: number): number {
  const others = Buffer.from(structure).fill(0, checksumAt, checksumAt + 4);
  return 0xffff_ffff - others.reduce((sum, byte) => sum + byte, 0);
}

/** Also where the first `tap` files were hidden: one footer alone, and without another checksum. */
function sameFooter(footer: Buffer, copy: Buffer): boolean {
  const early = footer.toString('latin1', 28, 31) === 'tap' && footer.readUInt32BE(32) === 0x10001;
  return footer.equals(early ? Buffer.from(copy).fill(footer.subarray(85, 86), 85, 86) : copy);
}

function uuidAt(structure: Buffer, at: number): string {
  const hex = structure.toString('hex', at, at + 16);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
