import type { FileHandle } from 'node:fs/promises';
import type { Block } from './vhd.ts';

const SECTOR = 512;
const PIECE = 2 ** 16;
const ZEROS = Buffer.alloc(PIECE);

/**
 * Puts the layers of a chain, leaf first, into one sparse file: of each sector, what the first layer holds that has it.
 * What is zero stays a hole.
 */
export class RawDisk {
  readonly #file: FileHandle;
  readonly #bytes: number;
  /** By the block's number: which of its sectors are settled; `true` once all are. */
  readonly #settled = new Map<number, Buffer | true>();

  private constructor(file: FileHandle, bytes: number) {
    this.#file = file;
    this.#bytes = bytes;
  }

  /** In an empty file. */
  static async create(file: FileHandle, bytes: number): Promise<RawDisk> {
    await file.truncate(bytes);
    return new RawDisk(file, bytes);
  }

  async take({ number, sectors, data }: Block): Promise<void> {
    const settled = this.#settled.get(number) ?? Buffer.alloc(sectors.length);
    const begin = number * data.length;
    if (settled === true || begin >= this.#bytes) return;
    const count = Math.min(data.length, this.#bytes - begin) / SECTOR;
    const isNew = (sector: number) => bit(sectors, sector) && !bit(settled, sector);
    for (let first = 0; first < count; first++) {
      if (!isNew(first)) continue;
      let end = first + 1;
      while (end < count && isNew(end)) end++;
      await this.#write(begin + first * SECTOR, data.subarray(first * SECTOR, end * SECTOR));
      first = end;
    }
    const after = settled.map((byte, at) => byte | (sectors[at] ?? 0));
    this.#settled.set(number, after.every((byte) => byte === 0xff) ? true : Buffer.from(after));
  }

  async #write(offset: number, data: Buffer): Promise<void> {
    for (let at = 0; at < data.length; at += PIECE) {
      const piece = data.subarray(at, at + PIECE);
      if (piece.equals(ZEROS.subarray(0, piece.length))) continue;
      for (let done = 0; done < piece.length; )
        done += (await this.#file.write(piece, done, piece.length - done, offset + at + done)).bytesWritten;
    }
  }
}

function bit(bits: Buffer, number: number): boolean {
  return (((bits[number >> 3] ?? 0) >> (7 - (number & 7))) & 1) === 1;
}
