import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createChildVhd, createDynamicVhd, openVhd } from '../../../local/vhd/vhd.ts';

/** A write to the guest's disk. */
export interface Write {
  readonly sector: number;
  readonly data: Buffer;
}

/** A layer's file, and the disk as a raw model had it when the next layer was put on top. */
export interface ModelledLayer {
  readonly path: string;
  readonly uuid: string;
  /** The path of the model's raw image. */
  readonly rawPath: string;
}

/** A temporary folder that goes when the test ends: `await using dir = await temporaryFolder()`. */
export async function temporaryFolder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'xensnap-vhd-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

/** A chain of one layer for each list of writes, base first, with a raw model beside each. Returns it leaf first. */
export async function modelledChain(
  dir: string,
  virtualBytes: number,
  layers: readonly (readonly Write[])[],
): Promise<ModelledLayer[]> {
  const chain: ModelledLayer[] = [];
  const model = Buffer.alloc(virtualBytes);
  for (const writes of layers) {
    const uuid = randomUUID();
    const path = join(dir, `${uuid}.vhd`);
    const [parent] = chain;
    if (parent) await createChildVhd(path, { uuid, parentPath: parent.path, createdAt: new Date() });
    else await createDynamicVhd(path, { uuid, virtualBytes, createdAt: new Date() });
    await write(path, writes);
    for (const { sector, data } of writes) data.copy(model, sector * 512);
    const rawPath = join(dir, `${uuid}.raw`);
    await writeFile(rawPath, model);
    chain.unshift({ path, uuid, rawPath });
  }
  return chain;
}

/** Opens a file, writes to it and closes it again. */
export async function write(path: string, writes: readonly Write[]): Promise<void> {
  const vhd = await openVhd(path);
  try {
    for (const { sector, data } of writes) await vhd.writeSectors(sector, data);
  } finally {
    await vhd.close();
  }
}

/** `count` sectors, each filled with its own bytes, none of them zero. */
export function pattern(seed: number, count: number): Buffer {
  const data = Buffer.alloc(count * 512);
  for (let i = 0; i < data.length; i++) data[i] = 1 + ((seed * 31 + (i >> 9) * 7 + i) % 255);
  return data;
}
