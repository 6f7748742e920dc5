import { blockCount } from './format.ts';
import { openVhd } from './vhd.ts';

/** Whether the file is a base copy, or deleted. */
export async function isHidden(path: string): Promise<boolean> {
  const vhd = await openVhd(path);
  await vhd.close();
  return vhd.hidden;
}

/** Which blocks the file holds: a bit for each, the first one the highest of its byte (`vhd-util read -B`). */
export async function heldBitmap(path: string): Promise<Buffer> {
  const vhd = await openVhd(path);
  try {
    const bitmap = Buffer.alloc(Math.ceil(blockCount(vhd.virtualBytes) / 8));
    for await (const block of vhd.heldBlocks())
      bitmap[block >> 3] = (bitmap[block >> 3] ?? 0) | (0x80 >> (block & 7));
    return bitmap;
  } finally {
    await vhd.close();
  }
}

/** Whether the file holds no block: all that its disk reads is its parent's. */
export async function isUnwritten(path: string): Promise<boolean> {
  return (await heldBitmap(path)).every((byte) => byte === 0);
}
