import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { chainOf, type Layer } from './chain.ts';
import { ImageDamaged, must, OutOfOrder } from './damage.ts';
import { EndsEarly, ForwardReader } from './forward.ts';
import { InOrder, type Settling, Told } from './passes.ts';
import { members } from './tar.ts';
import { readVhd } from './vhd.ts';
import { isZero } from './zeros.ts';

/** What an image's data holds. */
export interface Unpacked {
  /** Size of the data as Glance has it. */
  readonly bytes: number;
  /** Its SHA-512 in hexadecimal, which is Glance's `os_hash_value`. */
  readonly sha512: string;
  /** The disk's size. */
  readonly virtualBytes: number;
  /** Leaf first. */
  readonly layers: readonly Pick<Layer, 'name' | 'uuid' | 'bytes'>[];
  /** Files in it that are no part of the disk. */
  readonly ignored: readonly string[];
}

export interface UnpackOptions {
  /** A file that becomes the disk; without it, the data is only read. */
  readonly to?: FileHandle;
  /** Begins the same data again, for images whose VHDs do not come leaf first; without it, they are refused. */
  readonly again?: () => Readable;
  readonly signal?: AbortSignal;
  /** Told how many bytes of the data have been read, in this pass. */
  readonly onRead?: (bytes: number) => void;
}

const OUT_BYTES = 2 ** 20;
/** Nova's importer takes 16. */
const MOST_LAYERS = 64;
const MOST_ZEROS_BEHIND = 2 ** 28;

/**
 * Reads an image's data, a tar.gz of a VHD chain as xensnap and OpenStack's XenAPI driver write it, from one end to the
 * other, without a temporary file: in one pass where the VHDs come leaf first. It is held to everything that can be known
 * of it: gzip's CRC, the tar's and the VHDs' checksums, that the VHDs are one chain, and that the last one needs no parent.
 * @throws ImageDamaged with what is wrong; OutOfOrder; AbortError when `signal` is aborted
 */
export async function unpack(
  data: Readable,
  { to, again, signal, onRead }: UnpackOptions = {},
): Promise<Unpacked> {
  const pass = (from: Readable, settling: Settling | undefined) =>
    readOnce(from, settling, { signal, onRead });
  const inOrder = new InOrder(to);
  const { layers, ...found } = await pass(data, inOrder);
  const chain = chainOf(layers);
  if (to && !inOrder.holds) {
    if (!again) {
      const names = layers.map(({ name }) => name).join(', ');
      throw new OutOfOrder(`its VHDs do not come leaf first (${names}): save it in a file, and unpack that`);
    }
    const told = await Told.begin(to, chain);
    while (!told.isDone()) {
      const { sha512 } = await pass(again(), told);
      must(sha512 === found.sha512, 'it changed while it was read');
    }
  }
  return { ...found, virtualBytes: chain[0].virtualBytes, layers: chain.map(publicPart) };
}

function publicPart({ name, uuid, bytes }: Layer) {
  return { name, uuid, bytes };
}

/** One pass over the data: what it holds, in the order in which it comes. */
async function readOnce(
  data: Readable,
  settling: Settling | undefined,
  { signal, onRead }: { signal: AbortSignal | undefined; onRead: ((bytes: number) => void) | undefined },
): Promise<Pick<Unpacked, 'bytes' | 'sha512' | 'ignored'> & { layers: Layer[] }> {
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
  const read = (source: AsyncIterable<Buffer>) => readMembers(new ForwardReader(source), settling);
  const gunzip = createGunzip({ chunkSize: OUT_BYTES });
  try {
    const found = await pipeline(data, counted, gunzip, read, { ...(signal && { signal }) });
    return { bytes, sha512: sha512.digest('hex'), ...found };
  } catch (error) {
    throw explained(error);
  }
}

async function readMembers(source: ForwardReader, settling: Settling | undefined) {
  const layers: Layer[] = [];
  const ignored: string[] = [];
  for await (const { name, size } of members(source)) {
    // Old images hold a swap disk; vm.json tells of the VM.
    if (name === 'swap.vhd' || name === 'vm.json') {
      must(ignored.length < 2, `${name} is there twice`);
      ignored.push(name);
      continue;
    }
    must(name.endsWith('.vhd'), `${JSON.stringify(name)} does not belong to an image`);
    must(!layers.some((layer) => layer.name === name), `${name} is there twice`);
    must(layers.length < MOST_LAYERS, `more than ${MOST_LAYERS} VHDs are no image`);
    layers.push(await named(name, readLayer(source, name, size, settling)));
  }
  await readZeros(source);
  return { layers, ignored };
}

async function readLayer(source: ForwardReader, name: string, bytes: number, settling: Settling | undefined) {
  const vhd = await readVhd(source, bytes);
  const disk = await settling?.diskFor(name, vhd);
  if (disk) await disk.take(vhd);
  else for await (const _ of vhd.blocks(vhd.blockBytes));
  const { uuid = '', parentUuid, virtualBytes, blockBytes, fixed } = vhd;
  const layer: Layer = { name, uuid, parentUuid, bytes, virtualBytes, blockBytes, fixed };
  settling?.wasRead(layer);
  return layer;
}

async function named<T>(name: string, work: Promise<T>): Promise<T> {
  return work.catch((error) => {
    throw error instanceof ImageDamaged
      ? new ImageDamaged(`${name}: ${error.message}`, { cause: error })
      : error;
  });
}

/** To the end, where gzip's CRC stands. tar fills its last blocks; nobody fills this much. */
async function readZeros(source: ForwardReader): Promise<void> {
  const begin = source.position;
  for await (const piece of source.remaining()) {
    must(isZero(piece), 'something follows the end of the tar');
    must(source.position - begin <= MOST_ZEROS_BEHIND, 'far too many zeros follow the end of the tar');
  }
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
