import type { FileHandle } from 'node:fs/promises';
import type { Block, Vhd } from './vhd.ts';
import { isZero } from './zeros.ts';

const SECTOR = 512;
const PIECE = 2 ** 16;

/**
 * Puts the layers of a chain, leaf first, into one sparse file: of each sector, what the first layer holds that has it.
 * What is zero stays a hole.
 */
export class RawDisk {
  readonly #file: FileHandle;
  readonly #blockBytes: number;
  /** What lies behind it is zero, whatever the next layers hold. */
  #end: number;
  /** By the block's number: which of its sectors are settled; `true` once all are. */
  readonly #settled = new Map<number, Buffer | true>();

  private constructor(file: FileHandle, { virtualBytes, blockBytes }: Shape) {
    this.#file = file;
    this.#end = virtualBytes;
    this.#blockBytes = blockBytes;
  }

  /** For a chain whose leaf has this size, in a file whose content goes. */
  static async create(file: FileHandle, leaf: Shape): Promise<RawDisk> {
    await file.truncate(0);
    await file.truncate(leaf.virtualBytes);
    return new RawDisk(file, leaf);
  }

  /**
   * Takes the next layer. Disks grow: behind the end of a parent its child reads zeros, although the parent's last block
   * may hold something there, and although *its* parent may be longer (blktap: drivers/tapdisk-vbd.c, "return zeros for
   * requests that extend beyond end of parent image").
   */
  async take(layer: Vhd): Promise<void> {
    this.#end = Math.min(this.#end, layer.virtualBytes);
    for await (const block of layer.blocks(this.#blockBytes)) await this.#settle(block);
  }

  async #settle({ number, sectors, data }: Block): Promise<void> {
    const settled = this.#settled.get(number) ?? Buffer.alloc(this.#blockBytes / SECTOR / 8);
    const begin = number * this.#blockBytes;
    if (settled === true || begin >= this.#end) return;
    const count = Math.min(data.length, this.#end - begin) / SECTOR;
    const isNew = (sector: number) => bit(sectors, sector) && !bit(settled, sector);
    for (let first = 0; first < count; first++) {
      if (!isNew(first)) continue;
      let end = first + 1;
      while (end < count && isNew(end)) end++;
      await this.#write(begin + first * SECTOR, data.subarray(first * SECTOR, end * SECTOR));
      first = end;
    }
    const after = Buffer.from(settled.map((byte, at) => byte | (sectors[at] ?? 0)));
    this.#settled.set(number, after.every((byte) => byte === 0xff) ? true : after);
  }

  async #write(offset: number, data: Buffer): Promise<void> {
    for (let at = 0; at < data.length; at += PIECE) {
      const piece = data.subarray(at, at + PIECE);
      if (isZero(piece)) continue;
      for (let done = 0; done < piece.length; )
        done += (await this.#file.write(piece, done, piece.length - done, offset + at + done)).bytesWritten;
    }
  }
}

type Shape = Pick<Vhd, 'virtualBytes' | 'blockBytes'>;

function bit(bits: Buffer, number: number): boolean {
  return (((bits[number >> 3] ?? 0) >> (7 - (number & 7))) & 1) === 1;
}
