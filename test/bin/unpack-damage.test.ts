import { createReadStream } from 'node:fs';
import { copyFile, open, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { unpack } from '../../bin/unpack/unpack.ts';
import { temporaryFolder } from '../local/vhd/modelled-chain.ts';
import { bundleFolder, packed } from './bundle-folder.ts';

const flip = async (path: string, at: number) => {
  const file = await open(path, 'r+');
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at);
  await file.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, at);
  await file.close();
};
/** Makes a VHD's disk a byte longer, in both of its footers. */
const byteLonger = async (path: string) => {
  const vhd = await readFile(path);
  for (const at of [0, vhd.length - 512]) {
    const footer = vhd.subarray(at, at + 512);
    footer.writeBigUInt64BE(footer.readBigUInt64BE(48) + 1n, 48);
    footer.fill(0, 64, 68);
    footer.writeInt32BE(~footer.reduce((sum, byte) => sum + byte, 0), 64);
  }
  await writeFile(path, vhd);
};
const regzipped = async (image: string, change: (tar: Buffer) => Buffer) =>
  writeFile(image, gzipSync(change(gunzipSync(await readFile(image)))));

it.each<{
  what: string;
  says: RegExp;
  files?: (folder: string) => Promise<unknown>;
  order?: string[];
  image?: (path: string) => Promise<unknown>;
}>([
  {
    what: 'is cut off',
    says: /it is cut off in the middle of its gzip/,
    image: async (path) => truncate(path, (await stat(path)).size - 100),
  },
  { what: 'is empty', says: /it is cut off/, image: (path) => truncate(path, 0) },
  {
    what: 'is cut off before it was packed',
    says: /it is cut off: unpacked, it ends after \d+ bytes/,
    image: (path) => regzipped(path, (tar) => tar.subarray(0, 3_000_000)),
  },
  {
    what: 'has another byte in its gzip',
    says: /its gzip is damaged|it is cut off/,
    image: async (path) => flip(path, (await stat(path)).size >> 1),
  },
  {
    what: 'has another CRC',
    says: /damaged \(incorrect data check\)/,
    image: async (path) => flip(path, (await stat(path)).size - 8),
  },
  { what: 'is no gzip', says: /it is no gzip/, image: (path) => writeFile(path, Buffer.alloc(4096)) },
  {
    what: 'is a gzip of something else',
    says: /a header has a wrong checksum/,
    image: (path) => writeFile(path, gzipSync(Buffer.alloc(4096, 'x'))),
  },
  {
    what: 'has something behind its tar',
    says: /something follows the end of the tar/,
    image: (path) => regzipped(path, (tar) => Buffer.concat([tar, Buffer.from('x')])),
  },
  {
    what: 'lacks its base',
    says: /the parent of 1\.vhd, [0-9a-f-]{36}, is missing/,
    order: ['0.vhd', '1.vhd'],
  },
  {
    what: 'lacks a layer',
    says: /the parent of 0\.vhd, [0-9a-f-]{36}, is missing/,
    order: ['0.vhd', '2.vhd'],
  },
  {
    what: 'holds something else',
    says: /"notes" does not belong to an image/,
    files: (folder) => writeFile(join(folder, 'notes'), 'x'),
    order: ['0.vhd', '1.vhd', '2.vhd', 'notes'],
  },
  {
    what: 'holds a base twice',
    says: /3\.vhd and 2\.vhd are the same disk, [0-9a-f-]{36}/,
    files: (folder) => copyFile(join(folder, '2.vhd'), join(folder, '3.vhd')),
    order: ['0.vhd', '1.vhd', '2.vhd', '3.vhd'],
  },
  {
    what: 'has another disk as parent',
    says: /2\.vhd and 1\.vhd are the same disk/,
    files: (folder) => copyFile(join(folder, '2.vhd'), join(folder, '1.vhd')),
  },
  {
    what: 'has a VHD whose footer is damaged',
    says: /1\.vhd: the copy of its footer is damaged/,
    files: (folder) => flip(join(folder, '1.vhd'), 300),
  },
  {
    what: 'has a VHD of a disk that is no whole number of sectors',
    says: /1\.vhd: a disk cannot have \d+ bytes/,
    files: (folder) => byteLonger(join(folder, '1.vhd')),
  },
  {
    what: 'has a VHD whose header is damaged',
    says: /1\.vhd: its header is damaged/,
    files: (folder) => flip(join(folder, '1.vhd'), 512 + 60),
  },
  {
    what: 'has a VHD that is cut off',
    says: /2\.vhd: block \d reaches beyond its end/,
    files: (folder) => truncate(join(folder, '2.vhd'), 2 ** 21),
  },
  {
    what: 'has a VHD whose last footer is another',
    says: /2\.vhd: its footer is not the one that it begins with/,
    files: async (folder) => flip(join(folder, '2.vhd'), (await stat(join(folder, '2.vhd'))).size - 100),
  },
])('refuses by name an image that $what', async ({ says, files, order, image: spoil }) => {
  await using dir = await temporaryFolder();
  const { folder, names } = await bundleFolder(dir.path);
  await files?.(folder);
  const image = await packed(folder, order ?? names);
  await spoil?.(image);
  await using disk = await open(join(dir.path, 'disk.raw'), 'w');
  const found = unpack(createReadStream(image), { to: disk });
  await expect(found).rejects.toThrow(
    expect.objectContaining({ name: 'ImageDamaged', message: expect.stringMatching(says) }),
  );
});
