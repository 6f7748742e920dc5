import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { ImageDamaged, must } from './damage.ts';
import { EndsEarly, ForwardReader } from './forward.ts';
import { RawDisk } from './raw-disk.ts';
import { nextMember, skipPadding } from './tar.ts';
import { readVhd, type Vhd } from './vhd.ts';

/** What an image's data holds. */
export interface Unpacked {
  /** Of the data as it is in Glance. */
  readonly bytes: number;
  /** Of the same, hexadecimal: Glance's `os_hash_value`. */
  readonly sha512: string;
  /** The disk's size. */
  readonly virtualBytes: number;
  /** Leaf first. */
  readonly layers: readonly { readonly name: string; readonly uuid: string; readonly bytes: number }[];
}

export interface UnpackOptions {
  /** An empty file that becomes the disk; without it, the data is only read. */
  readonly to?: FileHandle;
  readonly signal?: AbortSignal;
  /** Told how many bytes of the data have been read. */
  readonly onRead?: (bytes: number) => void;
}

const OUT_BYTES = 2 ** 20;

/**
 * Reads an image's data, a tar.gz of a VHD chain, from one end to the other, in one pass and without a temporary file.
 * It is held to everything that can be known of it: gzip's CRC, the tar's and the VHDs' checksums, that each VHD is the
 * parent of the one before it, and that the last one needs none.
 * @throws ImageDamaged with what is wrong; AbortError when `signal` is aborted
 */
export async function unpack(data: Readable, { to, signal, onRead }: UnpackOptions = {}): Promise<Unpacked> {
  const sha512 = createHash('sha512');
  let bytes = 0;
  async function* counted(source: AsyncIterable<Buffer>) {
    for await (const piece of source) {
      sha512.update(piece);
      bytes += piece.length;
      onRead?.(bytes);
      yield piece;
    }
  }
  const read = (source: AsyncIterable<Buffer>) => readChain(new ForwardReader(source), to);
  const gunzip = createGunzip({ chunkSize: OUT_BYTES });
  try {
    const chain = await pipeline(data, counted, gunzip, read, { ...(signal && { signal }) });
    return { bytes, sha512: sha512.digest('hex'), ...chain };
  } catch (error) {
    throw explained(error);
  }
}

type Chain = Pick<Unpacked, 'virtualBytes' | 'layers'>;

async function readChain(source: ForwardReader, to: FileHandle | undefined): Promise<Chain> {
  const vhds: Vhd[] = [];
  const layers: Unpacked['layers'][number][] = [];
  let disk: RawDisk | undefined;
  for (let member = await nextMember(source); member; member = await nextMember(source)) {
    const { name, size } = member;
    must(name === `${vhds.length}.vhd`, `${JSON.stringify(name)} stands where ${vhds.length}.vhd should`);
    try {
      const vhd = await readVhd(source, size);
      requireParent(vhd, vhds.at(-1));
      disk ??= to && (await RawDisk.create(to, vhd.virtualBytes));
      for await (const block of vhd.blocks()) await disk?.take(block);
      vhds.push(vhd);
      layers.push({ name, uuid: vhd.uuid, bytes: size });
    } catch (error) {
      if (error instanceof ImageDamaged)
        throw new ImageDamaged(`${name}: ${error.message}`, { cause: error });
      throw error;
    }
    await skipPadding(source, member);
  }
  const [leaf, base] = [vhds[0], vhds.at(-1)];
  if (!leaf) throw new ImageDamaged('the tar is empty');
  must(
    base?.parentUuid === undefined,
    `the parent of ${vhds.length - 1}.vhd, ${base?.parentUuid}, is missing`,
  );
  // To the end, where gzip's CRC stands.
  for await (const piece of source.remaining())
    must(
      piece.every((byte) => byte === 0),
      'something follows the end of the tar',
    );
  return { virtualBytes: leaf.virtualBytes, layers };
}

function requireParent(vhd: Vhd, child: Vhd | undefined): void {
  if (!child) return;
  must(child.parentUuid !== undefined, 'it follows a VHD that has no parent');
  must(
    child.parentUuid === vhd.uuid,
    `it is ${vhd.uuid}, but the parent of the VHD before it is ${child.parentUuid}`,
  );
  must(child.blockBytes === vhd.blockBytes, 'its blocks have another size than those of the VHD before it');
}

/** What zlib and the reader say, in words that fit the image. */
function explained(error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  const because = (what: string) => new ImageDamaged(what, { cause: error });
  if (error instanceof EndsEarly) return because(`it is cut off: unpacked, ${error.message}`);
  if (code === 'Z_BUF_ERROR') return because('it is cut off in the middle of its gzip');
  const { message } = error as Error;
  if (code === 'Z_DATA_ERROR' && message === 'incorrect header check')
    return because('it is no gzip (an image with disk_format raw is the disk itself)');
  if (code === 'Z_DATA_ERROR') return because(`its gzip is damaged (${message})`);
  return error;
}
