import { must } from './damage.ts';
import type { ForwardReader } from './forward.ts';
import { FIXED, type Footer, footerIn, headerIn, heldBlocks, sameFooter } from './vhd-head.ts';

const SECTOR = 512;
const USUAL_BLOCK = 2 ** 21;

/** A VHD, of which the head has been read. */
export interface Vhd {
  /** Undefined for a fixed VHD until all of it has been read. */
  readonly uuid: string | undefined;
  /** For a differencing VHD: the one that holds what it does not. */
  readonly parentUuid: string | undefined;
  /** The disk's size. */
  readonly virtualBytes: number;
  readonly blockBytes: number;
  /** A fixed one has no blocks of its own: it is read in blocks of any size. */
  readonly fixed: boolean;
  /**
   * Reads on to its end, once: the blocks, as they stand in the file, then the footer.
   * @throws ImageDamaged, with a message that says what is wrong with it
   */
  blocks(blockBytes: number): AsyncGenerator<Block>;
}

export interface Block {
  /** Its place on the disk. */
  readonly number: number;
  /** Which of its sectors are there, a bit each; the first is the highest bit of the first byte. */
  readonly sectors: Buffer;
  /** The last one of a fixed VHD may be shorter. */
  readonly data: Buffer;
}

/**
 * Reads the head of a VHD of `size` bytes that begins here ("Virtual Hard Disk Image Format Specification", Microsoft,
 * 2006): in a dynamic or differencing one, footer's copy, header, BAT and blocks must follow each other in this order.
 * @throws ImageDamaged, with a message that says what is wrong with it
 */
export async function readVhd(source: ForwardReader, size: number): Promise<Vhd> {
  must(size >= SECTOR && size % SECTOR === 0, `${size} bytes are no VHD`);
  const first = await source.read(SECTOR);
  const footer = footerIn(first);
  return footer && footer.type !== FIXED ? sparse(source, size, first, footer) : fixed(source, size, first);
}

async function sparse(source: ForwardReader, size: number, first: Buffer, footer: Footer): Promise<Vhd> {
  const start = source.position - SECTOR;
  const goTo = (offset: number) => source.skip(start + offset - source.position);
  const { headerAt, uuid, virtualBytes } = footer;
  must(headerAt % SECTOR === 0 && headerAt >= SECTOR && headerAt + 1024 <= size, 'its header is not in it');
  await goTo(headerAt);
  const header = headerIn(await source.read(1024), footer, size);
  await goTo(header.batAt);
  const bat = await source.read(header.usedEntries * 4);
  return {
    ...{ uuid, virtualBytes, fixed: false, blockBytes: header.blockBytes, parentUuid: header.parentUuid },
    async *blocks() {
      for (const { number, offset } of heldBlocks(bat, header, size)) {
        await goTo(offset);
        const sectors = await source.read(header.bitmapBytes);
        yield { number, sectors, data: await source.read(header.blockBytes) };
      }
      await goTo(size - SECTOR);
      must(sameFooter(await source.read(SECTOR), first), 'its footer is not the one that it begins with');
    },
  };
}

/** All of it is the disk, but for the footer at its end. */
function fixed(source: ForwardReader, size: number, first: Buffer): Vhd {
  const virtualBytes = size - SECTOR;
  let uuid: string | undefined;
  return {
    get uuid() {
      return uuid;
    },
    ...{ parentUuid: undefined, virtualBytes, blockBytes: USUAL_BLOCK, fixed: true },
    async *blocks(blockBytes) {
      const sectors = Buffer.alloc(blockBytes / SECTOR / 8, 0xff);
      let before = first;
      for (let number = 0; number * blockBytes < virtualBytes; number++) {
        const length = Math.min(blockBytes, virtualBytes - number * blockBytes);
        const data = Buffer.concat([before, await source.read(length - before.length)]);
        yield { number, sectors, data };
        before = Buffer.alloc(0);
      }
      const last = virtualBytes === 0 ? first : await source.read(SECTOR);
      const footer = footerIn(last);
      must(footer !== undefined, 'it is no VHD: it neither begins nor ends with a footer');
      must(footer.type === FIXED, 'the copy of its footer is damaged');
      must(footer.virtualBytes === virtualBytes, 'a fixed VHD must be as long as its disk and the footer');
      uuid = footer.uuid;
    },
  };
}
