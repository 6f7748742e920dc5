import { must } from './damage.ts';
import type { ForwardReader } from './forward.ts';
import { numberIn, type PaxFields, paxFields, textIn } from './tar-fields.ts';
import { isZero } from './zeros.ts';

const RECORD = 512;
/** Size of a long name or a pax header. */
const MOST_EXTRA_BYTES = 2 ** 20;
/** Names are kept, and told. */
const MOST_NAME_CHARACTERS = 255;

/** A plain file in a tar. */
export interface Member {
  /** Without `./` in front. */
  readonly name: string;
  readonly size: number;
}

/**
 * The files of a tar, of any kind that Nova's hosts and Python's tarfile have written: v7, ustar, GNU, pax. Of each the
 * caller may read `size` bytes before it asks for the next; what is left is passed over.
 * @throws ImageDamaged when the tar is damaged, and for what is no plain file in its root folder
 */
export async function* members(source: ForwardReader): AsyncGenerator<Member> {
  let ofAll: PaxFields = {};
  let ofNext: PaxFields = {};
  for (let header = await readHeader(source); header; header = await readHeader(source)) {
    const type = header.toString('latin1', 156, 157);
    const ownSize = numberIn(header.subarray(124, 136), 'a size in the tar');
    const extra = EXTRAS[type];
    if (extra) {
      must(ownSize <= MOST_EXTRA_BYTES, 'the tar has a header that is far too large');
      const found = extra(await source.read(ownSize));
      if (type === 'g') ofAll = { ...ofAll, ...found };
      else ofNext = { ...ofNext, ...found };
      await source.skip(padding(ownSize));
      continue;
    }
    const { path, size = ownSize } = { ...ofAll, ...ofNext };
    ofNext = {};
    const name = plainName(path ?? nameIn(header), type);
    const end = source.position + size + padding(size);
    if (name !== '') yield { name, size };
    await source.skip(end - source.position);
  }
}

/** What stands before a file's own header and tells of it; K, a link's aim, of a file that is refused. */
const EXTRAS: Readonly<Record<string, (data: Buffer) => PaxFields>> = {
  x: paxFields,
  g: paxFields,
  L: (data) => ({ path: textIn(data) }),
  K: () => ({}),
};

/** @returns undefined at the tar's end */
async function readHeader(source: ForwardReader): Promise<Buffer | undefined> {
  const header = await source.read(RECORD);
  if (isZero(header)) return undefined;
  const sum = header.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0);
  const stored = textIn(header.subarray(148, 156)).trim();
  must(
    /^[0-7]+$/.test(stored) && sum === Number.parseInt(stored, 8),
    'the tar is damaged: a header has a wrong checksum',
  );
  return header;
}

/** Only ustar has a second field for what is in front of a name; GNU keeps times there. */
function nameIn(header: Buffer): string {
  const name = textIn(header.subarray(0, 100));
  const prefix = header.toString('latin1', 257, 263) === 'ustar\0' ? textIn(header.subarray(345, 500)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

const KINDS: Readonly<Record<string, string>> = {
  '1': 'a hard link',
  '2': 'a symbolic link',
  '3': 'a device',
  '4': 'a device',
  '5': 'a folder',
  '6': 'a pipe',
  S: 'a sparse file',
};

/** The name of a plain file in the root folder; empty for that folder itself. */
function plainName(full: string, type: string): string {
  must(full.length <= MOST_NAME_CHARACTERS, 'a name in the tar is far too long');
  const shown = JSON.stringify(full);
  const name = full.replace(/^(\.\/+)+/, '').replace(/^\.$/, '');
  must(!full.startsWith('/') && !name.split('/').includes('..'), `${shown} leads out of the tar`);
  const isFolder = type === '5' || name.endsWith('/');
  if (isFolder && name === '') return '';
  must(
    !isFolder && ['0', '\0', '7'].includes(type),
    `${shown} is ${KINDS[isFolder ? '5' : type] ?? 'no plain file'}`,
  );
  must(name !== '', 'a file in the tar has no name');
  must(!name.includes('/'), `${shown} is in a folder`);
  return name;
}

function padding(size: number): number {
  return (RECORD - (size % RECORD)) % RECORD;
}
