import { must } from './damage.ts';
import type { ForwardReader } from './forward.ts';

const SECTOR = 512;
const UNUSED = 0xffff_ffff;
const MOST_ENTRIES = 2 ** 21;
const BLOCK_SIZES = [2 ** 19, 2 ** 20, 2 ** 21, 2 ** 22];

/** A VHD, of which the head has been read. */
export interface Vhd {
  readonly uuid: string;
  /** Of a differencing VHD: the one that holds what it does not. */
  readonly parentUuid: string | undefined;
  /** The disk's size. */
  readonly virtualBytes: number;
  readonly blockBytes: number;
  /**
   * Reads on to its end, once: the blocks, as they stand in the file, then the footer.
   * @throws ImageDamaged, with a message that says what is wrong with it
   */
  blocks(): AsyncGenerator<Block>;
}

export interface Block {
  /** Its place on the disk. */
  readonly number: number;
  /** Which of its sectors are there, a bit each; the first is the highest bit of the first byte. */
  readonly sectors: Buffer;
  readonly data: Buffer;
}

/**
 * Reads the head of a dynamic or differencing VHD of `size` bytes that begins here ("Virtual Hard Disk Image Format
 * Specification", Microsoft, 2006).
 * @throws ImageDamaged, with a message that says what is wrong with it
 */
export async function readVhd(source: ForwardReader, size: number): Promise<Vhd> {
  const start = source.position;
  const goTo = async (offset: number, what: string) => {
    const ahead = start + offset - source.position;
    must(ahead >= 0, `${what} stands before what it follows`);
    await source.skip(ahead);
  };
  const footer = await source.read(SECTOR);
  must(hasChecksum(footer, 'conectix', 64), 'the copy of its footer is damaged');
  const type = footer.readUInt32BE(60);
  must(type === 3 || type === 4, 'it is neither a dynamic nor a differencing VHD');
  const virtualBytes = Number(footer.readBigUInt64BE(48));
  await goTo(Number(footer.readBigUInt64BE(16)), 'its header');
  const header = await source.read(1024);
  must(hasChecksum(header, 'cxsparse', 36), 'its header is damaged');
  const [entries, blockBytes] = [header.readUInt32BE(28), header.readUInt32BE(32)];
  must(BLOCK_SIZES.includes(blockBytes), 'its block size is wrong');
  must(entries <= MOST_ENTRIES && entries * blockBytes >= virtualBytes, 'its BAT has a wrong length');
  await goTo(Number(header.readBigUInt64BE(16)), 'its BAT');
  const held = blocksIn(await source.read(entries * 4));
  const bitmapBytes = Math.ceil(blockBytes / SECTOR / 8 / SECTOR) * SECTOR;
  return {
    uuid: uuidAt(footer, 68),
    parentUuid: type === 4 ? uuidAt(header, 40) : undefined,
    virtualBytes,
    blockBytes,
    async *blocks() {
      for (const { number, offset } of held) {
        must(offset + bitmapBytes + blockBytes <= size - SECTOR, `block ${number} reaches beyond its end`);
        await goTo(offset, `block ${number}`);
        yield { number, sectors: await source.read(bitmapBytes), data: await source.read(blockBytes) };
      }
      await goTo(size - SECTOR, 'its footer');
      must((await source.read(SECTOR)).equals(footer), 'its footer is not the one that it begins with');
    },
  };
}

/** The blocks that are there, as they follow each other in the file. */
function blocksIn(bat: Buffer): { number: number; offset: number }[] {
  const found = [];
  for (let number = 0; number * 4 < bat.length; number++) {
    const sector = bat.readUInt32BE(number * 4);
    if (sector !== UNUSED) found.push({ number, offset: sector * SECTOR });
  }
  return found.sort((one, other) => one.offset - other.offset);
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
