import { execFile } from 'node:child_process';
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { modelledChain, pattern, type Write } from '../local/vhd/modelled-chain.ts';

/** Neither whole blocks nor whole bytes of a sector bitmap: the last block holds 3 sectors. */
export const VIRTUAL_BYTES = 3 * 2 ** 21 + 3 * 512;
const LAST_SECTOR = VIRTUAL_BYTES / 512 - 1;
const threeLayers: Write[][] = [
  [
    { sector: 0, data: pattern(1, 1) },
    { sector: 4090, data: pattern(2, 4200) },
  ],
  [
    { sector: 4095, data: pattern(3, 2) },
    { sector: 5000, data: Buffer.alloc(3 * 512) },
    { sector: LAST_SECTOR, data: pattern(4, 1) },
  ],
  [],
];

/** The files of a chain as a bundle has them, `0.vhd` the leaf, and the disk as a raw model. */
export async function bundleFolder(
  dir: string,
  layers: readonly (readonly Write[])[] = threeLayers,
  bytes = VIRTUAL_BYTES,
): Promise<{ folder: string; rawPath: string; names: string[] }> {
  const chain = await modelledChain(dir, bytes, layers);
  const folder = join(dir, 'bundle');
  await mkdir(folder);
  for (const [i, { path }] of chain.entries()) await copyFile(path, join(folder, `${i}.vhd`));
  return { folder, rawPath: chain[0]?.rawPath ?? '', names: chain.map((_, i) => `${i}.vhd`) };
}

/** Packs files of a folder with tar and gzip, in this order; answers the image's path, beside the folder. */
export async function packed(folder: string, names: readonly string[]): Promise<string> {
  const image = join(folder, '..', 'image.tgz');
  await promisify(execFile)('tar', ['-czf', image, '-C', folder, ...names]);
  return image;
}
