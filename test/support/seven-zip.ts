import { spawn } from 'node:child_process';
import { accessSync, constants, createWriteStream } from 'node:fs';
import { copyFile, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, delimiter, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { readLayer } from './vhd-layer.ts';

/**
 * Path of 7-Zip, which reads VHD chains too.
 * @returns undefined where it is not installed
 * @throws Error when it is not installed although XENSNAP_REQUIRE_TOOLS is set
 */
export function sevenZip(): string | undefined {
  return findTool('7zz') ?? findTool('7z', '7zz or 7z');
}

/** Path of qemu-img, by the same rules. It reads base files only: of a child it ignores the parent. */
export function qemuImg(): string | undefined {
  return findTool('qemu-img', 'qemu-img');
}

/**
 * Flattens a chain, leaf to base, with 7-Zip into a raw image. 7-Zip looks for each parent by the file name in its
 * child's header, so the files are first copied under these names.
 */
export async function extractWith7zip(paths: readonly string[], outRaw: string): Promise<void> {
  const tool = sevenZip();
  if (!tool) throw new Error('7-Zip is not installed');
  const dir = await mkdtemp(join(tmpdir(), 'xensnap-7zip-'));
  try {
    const layers = await Promise.all(paths.map(readLayer));
    const names = layers.map((_, i) => (i === 0 ? 'leaf.vhd' : basename(layers[i - 1]?.parentName ?? '')));
    if (new Set(names).size !== names.length) throw new Error(`Names occur twice in the chain: ${names}`);
    for (const [i, layer] of layers.entries()) await copyUnhidden(layer.path, join(dir, names[i] ?? ''));
    await extract(tool, join(dir, 'leaf.vhd'), outRaw);
  } finally {
    await rm(dir, { recursive: true });
  }
}

/** 7-Zip asks for zeros where vhd-util keeps the hidden flag, and refuses a base copy as it is. */
async function copyUnhidden(from: string, to: string): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_FICLONE);
  const file = await open(to, 'r+');
  try {
    const { size } = await file.stat();
    for (const at of [0, size - 512]) {
      const { buffer: footer } = await file.read(Buffer.alloc(512), 0, 512, at);
      // The checksum is the complement of a sum, so it grows by what the sum loses.
      footer.writeUInt32BE(footer.readUInt32BE(64) + footer.readUInt8(85), 64);
      footer.writeUInt8(0, 85);
      await file.write(footer, 0, 512, at);
    }
  } finally {
    await file.close();
  }
}

async function extract(tool: string, leaf: string, outRaw: string): Promise<void> {
  const child = spawn(tool, ['x', '-so', '-tvhd', leaf], { stdio: ['ignore', 'pipe', 'pipe'] });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    complaint += text;
  });
  const exit = new Promise<number | null>((resolve, reject) =>
    child.once('error', reject).once('close', resolve),
  );
  await pipeline(child.stdout, createWriteStream(outRaw));
  const code = await exit;
  if (code !== 0) throw new Error(`7-Zip ended with ${code}: ${complaint.trim()}`);
}

/** Finds a tool. Where XENSNAP_REQUIRE_TOOLS is set, one that is missing is an error that names `required`. */
function findTool(name: string, required?: string): string | undefined {
  for (const dir of (process.env.PATH ?? '').split(delimiter)) {
    try {
      accessSync(join(dir, name), constants.X_OK);
      return join(dir, name);
    } catch {}
  }
  if (required && process.env.XENSNAP_REQUIRE_TOOLS) throw new Error(`${required} is not installed`);
  return undefined;
}
