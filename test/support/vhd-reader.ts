import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { bitmapLength, type LayerInfo, readAt, readLayer } from './vhd-layer.ts';

export type { LayerInfo };

/** A chain of VHD files and the disk that they make together. */
export interface Chain {
  /** Leaf first, as the paths were given. */
  readonly layers: readonly LayerInfo[];
  /** The flattened disk's hash, hexadecimal. */
  sha256(): Promise<string>;
  /** Offset of the first byte that differs from the raw image, `null` when there is none. */
  compareWith(rawPath: string): Promise<number | null>;
  /** Bytes of the flattened disk. */
  read(offset: number, length: number): Promise<Buffer>;
}

/**
 * Opens a chain whose order is told, leaf to base, whatever the files are called.
 * @throws Error when a file is damaged, or is not the child of the one after it
 */
export async function readChain(paths: readonly string[]): Promise<Chain> {
  const layers = await Promise.all(paths.map(readLayer));
  const [broken] = linkProblems(layers);
  if (broken) throw new Error(broken);
  const virtualBytes = layers[0]?.virtualBytes ?? 0;
  return {
    layers,
    async sha256() {
      const hash = createHash('sha256');
      for await (const data of flatten(layers, 0, virtualBytes)) hash.update(data);
      return hash.digest('hex');
    },
    async compareWith(rawPath) {
      const raw = await open(rawPath, 'r');
      try {
        return await firstDifference(layers, virtualBytes, raw);
      } finally {
        await raw.close();
      }
    },
    async read(offset, length) {
      if (offset < 0 || offset + length > virtualBytes) throw new RangeError('beyond the end of the disk');
      const first = Math.floor(offset / 512) * 512;
      const parts = [];
      for await (const data of flatten(layers, first, Math.ceil((offset + length) / 512) * 512))
        parts.push(data);
      return Buffer.concat(parts).subarray(offset - first, offset - first + length);
    },
  };
}

/** What keeps files, leaf to base, from being a chain. */
export function linkProblems(layers: readonly LayerInfo[]): string[] {
  const problems = layers.length === 0 ? ['a chain needs a file'] : [];
  for (const [i, child] of layers.entries()) {
    const parent = layers[i + 1];
    if (!parent) {
      if (child.type === 'differencing') problems.push(`${child.path} is the last one but has a parent`);
    } else if (child.parentUuid !== parent.uuid) {
      problems.push(`${child.path} is not the child of ${parent.path}`);
    } else if (child.blockBytes !== parent.blockBytes && parent.type !== 'fixed')
      problems.push(`${child.path} and ${parent.path} have blocks of two sizes`);
  }
  return problems;
}

async function firstDifference(layers: readonly LayerInfo[], virtualBytes: number, raw: FileHandle) {
  const rawBytes = (await raw.stat()).size;
  let offset = 0;
  for await (const data of flatten(layers, 0, virtualBytes)) {
    const expected = await readAt(raw, offset, Math.min(data.length, Math.max(0, rawBytes - offset)));
    if (!data.equals(expected)) {
      const at = expected.findIndex((byte, i) => byte !== data[i]);
      return offset + (at < 0 ? expected.length : at);
    }
    offset += data.length;
  }
  return rawBytes > virtualBytes ? virtualBytes : null;
}

/** The disk from `start` to `end`, both whole sectors, in pieces of a block at most. */
async function* flatten(layers: readonly LayerInfo[], start: number, end: number): AsyncGenerator<Buffer> {
  const blockBytes = Math.min(...layers.map((layer) => layer.blockBytes));
  const files: FileHandle[] = [];
  try {
    for (const { path } of layers) files.push(await open(path, 'r'));
    for (let at = start; at < end; ) {
      const next = Math.min(end, (Math.floor(at / blockBytes) + 1) * blockBytes);
      yield await resolveSectors(layers, files, at, next);
      at = next;
    }
  } finally {
    for (const file of files) await file.close();
  }
}

/**
 * Takes each sector from the first layer that has it; a sector that none has is zero, and so is one behind the end of a
 * layer, whatever is below: disks grow.
 */
async function resolveSectors(layers: readonly LayerInfo[], files: FileHandle[], start: number, end: number) {
  const result = Buffer.alloc(end - start);
  const open = new Set(Array.from({ length: result.length / 512 }, (_, i) => i));
  for (const [i, layer] of layers.entries()) {
    for (const sector of open) if (start + sector * 512 >= layer.virtualBytes) open.delete(sector);
    const file = files[i];
    if (!file || open.size === 0) continue;
    const held = await heldSectors(layer, file, start, end);
    for (const sector of open) {
      if (!held?.has(sector)) continue;
      held.data.copy(result, sector * 512, sector * 512, sector * 512 + 512);
      open.delete(sector);
    }
  }
  return result;
}

/** What a layer holds of a part of a block. */
async function heldSectors(
  { type, blocks, blockBytes, virtualBytes }: LayerInfo,
  file: FileHandle,
  start: number,
  end: number,
) {
  if (type === 'fixed') {
    const data = await readAt(file, start, Math.min(end, virtualBytes) - start);
    return { data, has: (sector: number) => sector * 512 < data.length };
  }
  const at = blocks[Math.floor(start / blockBytes)];
  if (at === undefined) return undefined;
  const bitmap = await readAt(file, at, bitmapLength(blockBytes));
  const data = await readAt(file, at + bitmap.length + (start % blockBytes), end - start);
  const first = (start % blockBytes) / 512;
  const has = (sector: number) =>
    ((bitmap.readUInt8((first + sector) >> 3) >> (7 - ((first + sector) & 7))) & 1) === 1;
  return { data, has };
}
