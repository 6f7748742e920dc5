import { link, mkdir, open, rename, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';

const CHUNK_BYTES = 1024 * 1024;

/**
 * Raw files that say what each disk must read as, kept beside the VHDs by another way: tests compare the two. They
 * outlive their VDIs.
 */
export class Models {
  readonly #folder: string;
  readonly #enabled: boolean;

  constructor(folder: string, enabled: boolean) {
    this.#folder = folder;
    this.#enabled = enabled;
  }

  path(vdiUuid: string): string {
    return join(this.#folder, `${vdiUuid}.raw`);
  }

  async create(vdiUuid: string, virtualBytes: number): Promise<void> {
    if (!this.#enabled) return;
    await mkdir(this.#folder, { recursive: true });
    const file = await open(this.path(vdiUuid), 'wx');
    await file.truncate(virtualBytes);
    await file.close();
  }

  async write(vdiUuid: string, offset: number, data: Buffer): Promise<void> {
    if (!this.#enabled) return;
    const file = await open(this.path(vdiUuid), 'r+');
    await file.write(data, 0, data.length, offset);
    await file.close();
  }

  /** The disk has become larger; what is new reads as zeros. */
  async grow(vdiUuid: string, virtualBytes: number): Promise<void> {
    if (this.#enabled) await truncate(this.path(vdiUuid), virtualBytes);
  }

  /** Keeps the disk as it is now under other UUIDs, a snapshot's and a base copy's, which nobody writes to. */
  async freeze(vdiUuid: string, [first, ...others]: readonly string[]): Promise<void> {
    if (!this.#enabled || first === undefined) return;
    await rm(this.path(first), { force: true });
    await copySparse(this.path(vdiUuid), this.path(first));
    for (const other of others) await link(this.path(first), this.path(other));
  }

  /** A frozen disk will be written to from now on: its model gets a file of its own. */
  async thaw(vdiUuid: string): Promise<void> {
    if (!this.#enabled) return;
    const copy = `${this.path(vdiUuid)}.new`;
    await copySparse(this.path(vdiUuid), copy);
    await rename(copy, this.path(vdiUuid));
  }

  /** A base copy took its child's data: it reads as the child did. */
  async merge(childUuid: string, parentUuid: string): Promise<void> {
    if (!this.#enabled) return;
    await rm(this.path(parentUuid), { force: true });
    await link(this.path(childUuid), this.path(parentUuid));
  }
}

async function copySparse(from: string, to: string): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const source = await open(from, 'r');
  stack.defer(() => source.close());
  const target = await open(to, 'wx');
  stack.defer(() => target.close());
  const { size } = await source.stat();
  await target.truncate(size);
  const chunk = Buffer.alloc(CHUNK_BYTES);
  const zeros = Buffer.alloc(CHUNK_BYTES);
  for (let at = 0; at < size; at += CHUNK_BYTES) {
    const { bytesRead } = await source.read(chunk, 0, CHUNK_BYTES, at);
    const data = chunk.subarray(0, bytesRead);
    if (!data.equals(zeros.subarray(0, bytesRead))) await target.write(data, 0, bytesRead, at);
  }
}
