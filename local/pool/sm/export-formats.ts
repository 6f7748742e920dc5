import { randomUUID } from 'node:crypto';
import { encodeFooter } from '../../vhd/footer.ts';
import { BITMAP_BYTES, BLOCK_BYTES, blockCount, SECTOR_BYTES, sectorAligned } from '../../vhd/format.ts';
import { encodeHeader } from '../../vhd/header.ts';
import type { FlatDisk } from './flat-disk.ts';

/** vhd-tool leaves a sector between header and BAT for a parent locator, also where there is none. */
const BAT_OFFSET = 2048;

/** The VHD that vhd-tool makes while it sends (ocaml-vhd's f.ml): blocks in order, every bit of their bitmaps set. */
export async function* asVhd(disk: FlatDisk): AsyncGenerator<Buffer> {
  const entries = blockCount(disk.virtualBytes);
  const bat = Buffer.alloc(sectorAligned(4 * entries), 0xff);
  const blocksAt = BAT_OFFSET + bat.length;
  for (const [place, block] of disk.blocks.entries())
    bat.writeUInt32BE((blocksAt + place * (BITMAP_BYTES + BLOCK_BYTES)) / SECTOR_BYTES, 4 * block);
  const footer = encodeFooter({
    uuid: randomUUID(),
    type: 'dynamic',
    virtualBytes: disk.virtualBytes,
    createdAt: new Date(),
    hidden: false,
  });
  const header = encodeHeader({ batOffset: BAT_OFFSET, batEntries: entries, parent: undefined });
  yield Buffer.concat([footer, header, Buffer.alloc(SECTOR_BYTES), bat]);
  for (const block of disk.blocks) {
    const data = await disk.read(block);
    yield Buffer.concat([Buffer.alloc(BITMAP_BYTES, 0xff), data, Buffer.alloc(BLOCK_BYTES - data.length)]);
  }
  yield footer;
}

/** Every byte of the disk, zeros too. */
export async function* asRaw(disk: FlatDisk): AsyncGenerator<Buffer> {
  const held = new Set(disk.blocks);
  const zeros = Buffer.alloc(BLOCK_BYTES);
  for (let block = 0; block < blockCount(disk.virtualBytes); block += 1) {
    const bytes = Math.min(BLOCK_BYTES, disk.virtualBytes - block * BLOCK_BYTES);
    yield held.has(block) ? await disk.read(block) : zeros.subarray(0, bytes);
  }
}
