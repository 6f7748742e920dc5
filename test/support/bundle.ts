import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** An image's data, downloaded and unpacked. */
export interface Bundle {
  /** The tar as it came. */
  readonly archive: string;
  readonly folder: string;
  /** Leaf first, as Nova numbers them. */
  readonly vhds: readonly string[];
  /** What `vm.json` holds, if there is one. */
  readonly vmConfig?: unknown;
  readonly sizeBytes: number;
  /** Hexadecimal. */
  readonly sha512: string;
}

/** An image's data from Glance, as it is. */
export async function downloadImage(glanceUrl: string, imageId: string): Promise<Buffer> {
  const response = await fetch(`${glanceUrl}/v2/images/${imageId}/file`);
  if (response.status !== 200) throw new Error(`The download was answered ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}

/** Downloads an image from Glance and unpacks it with tar into `folder`, which it makes. */
export async function downloadBundle(glanceUrl: string, imageId: string, folder: string): Promise<Bundle> {
  const data = await downloadImage(glanceUrl, imageId);
  await mkdir(folder);
  const archive = `${folder}.tar.gz`;
  await writeFile(archive, data);
  await run('tar', ['-xzf', archive, '-C', folder]);
  const files = await readdir(folder);
  const names = files
    .filter((name) => name !== 'vm.json')
    .sort((one, other) => Number.parseInt(one, 10) - Number.parseInt(other, 10));
  return {
    archive,
    folder,
    vhds: names.map((name) => join(folder, name)),
    ...(files.includes('vm.json') && {
      vmConfig: JSON.parse(await readFile(join(folder, 'vm.json'), 'utf8')),
    }),
    sizeBytes: data.length,
    sha512: createHash('sha512').update(data).digest('hex'),
  };
}

/** SHA-256 of a file, hexadecimal: for disks that are too big to be shown when they differ. */
export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece);
  return hash.digest('hex');
}

/** Flattens a base VHD with qemu-img. */
export async function convertWithQemu(tool: string, vhd: string, outRaw: string): Promise<void> {
  await run(tool, ['convert', '-f', 'vpc', '-O', 'raw', vhd, outRaw]);
}
