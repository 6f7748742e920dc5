import { type Built, withChecksum } from './build.ts';
import { BLOCK, bad, type Case, child, MIB, nameOf, plain } from './case.ts';

/** Both footers, with a right checksum. */
const footers = (change: (footer: Buffer) => unknown) => (file?: Built) => {
  for (const at of [0, (file?.bytes.length ?? 0) - 512]) {
    const footer = file?.bytes.subarray(at, at + 512) ?? Buffer.alloc(512);
    change(footer);
    withChecksum(footer, 64);
  }
};
const header =
  (change: (header: Buffer, file: Built) => unknown, mend = true) =>
  (file?: Built) => {
    if (!file) return;
    const bytes = file.bytes.subarray(file.headerAt, file.headerAt + 1024);
    change(bytes, file);
    if (mend) withChecksum(bytes, 36);
  };
/** Moves a block, by bytes; it gets its content from wherever that is. */
const entry = (number: number, to: (file: Built) => number) => (file?: Built) =>
  file?.bytes.writeUInt32BE(to(file) / 512, file.batAt + number * 4);
const atBlock = (number: number, ahead: number) => (file: Built) => (file.blocks.get(number) ?? 0) + ahead;
const last = (file?: Built) => file?.bytes.subarray(-512) ?? Buffer.alloc(0);
const cut = (length: (file: Built) => number) => (file?: Built) => {
  if (file) Object.assign(file, { bytes: file.bytes.subarray(0, length(file)) });
};

const one = (what: string, damage: Case['damage'], more: Partial<Case> = {}): Case =>
  bad(what, [plain], { ...(damage && { damage }), ...more });
const refused = { pool: 'refused' } as const;

/** Chains with something wrong. */
export const damaged: readonly Case[] = [
  one('no footer at the end, but the copy', (file) => last(file).fill(0), { plugin: 'busy', pool: 'read' }),
  one('data where the footer was, but the copy', (file) => last(file).fill(0x55), {
    plugin: 'busy',
    pool: 'read',
  }),
  bad('a parent with no footer at the end', [child, plain], {
    damage: (_, parent) => last(parent).fill(0),
    ...{ plugin: 'busy', pool: 'read' },
  }),
  one(
    'a file that was cut off in a block',
    cut(({ bytes }) => bytes.length - MIB),
    { plugin: 'no' },
  ),
  one('no copy of the footer', (file) => file?.bytes.fill(0, 0, 512), { pool: 'read' }),
  one('neither footer', (file) => last(file.bytes.fill(0, 0, 512) && file).fill(0), refused),
  one('a copy with a wrong checksum', (file) => file?.bytes.writeUInt8(1, 300), { pool: 'read' }),
  one('a footer with a wrong checksum', (file) => last(file).writeUInt8(1, 300), {
    plugin: 'no',
    pool: 'read',
  }),
  one(
    'two footers that differ',
    (file) => file && withChecksum(file.bytes.subarray(0, 512).fill(9, 24, 26), 64),
    {
      ...{ plugin: 'no', pool: 'read' },
    },
  ),
  one(
    'another cookie in both footers',
    footers((footer) => footer.write('conectiX')),
    refused,
  ),
  ...[0, 1, 5, 6, 7].map((type) =>
    one(
      `type ${type}`,
      footers((footer) => footer.writeUInt32BE(type, 60)),
      refused,
    ),
  ),
  one(
    'a header with a wrong checksum',
    header((bytes) => bytes.writeUInt8(1, 900), false),
    refused,
  ),
  one(
    'a header with another cookie',
    header((bytes) => bytes.write('cxsparsE')),
    refused,
  ),
  one(
    'a header of another version',
    header((bytes) => bytes.writeUInt32BE(0x20000, 24)),
    refused,
  ),
  one(
    'a header with a next one',
    header((bytes) => bytes.fill(0, 8, 16)),
    refused,
  ),
  one(
    'a header behind the end',
    footers((footer) => footer.writeBigUInt64BE(2n ** 63n, 16)),
    refused,
  ),
  one(
    'a header that is cut off',
    cut(() => 1024),
    { plugin: 'no', ...refused },
  ),
  one(
    'a header between two sectors',
    footers((footer) => footer.writeBigUInt64BE(513n, 16)),
    refused,
  ),
  one(
    'a BAT behind the end',
    header((bytes) => bytes.writeBigUInt64BE(2n ** 62n, 16)),
  ),
  one(
    'a BAT in the header',
    header((bytes) => bytes.writeBigUInt64BE(1024n, 16)),
  ),
  one(
    'a BAT between two sectors',
    header((bytes, { batAt }) => bytes.writeBigUInt64BE(BigInt(batAt + 4), 16)),
  ),
  one(
    'a BAT that is too short',
    header((bytes) => bytes.writeUInt32BE(3, 28)),
    refused,
  ),
  one(
    'a BAT that says it is longer than the file',
    header((bytes) => bytes.writeUInt32BE(0xffff_fffe, 28)),
  ),
  one('a block twice', entry(0, atBlock(1, 0))),
  one('a block that half overlaps another', entry(0, atBlock(1, MIB))),
  one('a block that overlaps another by a sector', entry(0, atBlock(1, BLOCK))),
  one(
    'a block behind the end',
    entry(1, ({ bytes }) => bytes.length + MIB),
  ),
  one(
    'a block as far as an entry reaches',
    entry(1, () => 0xffff_fffe * 512),
  ),
  one('a block over the footer', entry(2, atBlock(2, 512))),
  one(
    'a block over the copy of the footer',
    entry(0, () => 0),
  ),
  one(
    'a block over the header',
    entry(0, () => 512),
  ),
  one(
    'a block over the BAT',
    entry(0, ({ batAt }) => batAt),
  ),
  one(
    'half a sector at the end',
    (file) => file && Object.assign(file, { bytes: Buffer.concat([file.bytes, Buffer.alloc(256)]) }),
    {
      plugin: 'no',
    },
  ),
  one('512 bytes of nothing', (file) => Object.assign(file ?? {}, { bytes: Buffer.alloc(512) }), refused),
  one('an empty file', (file) => Object.assign(file ?? {}, { bytes: Buffer.alloc(0) }), refused),
  bad('a disk of no bytes', [{ virtualBytes: 0, batEntries: 1 }]),
  bad('a disk that is no whole sectors', [{ ...plain, virtualBytes: 6 * MIB + 100 }]),
  bad('a disk that is larger than the largest', [{ virtualBytes: 2040 * 1024 * MIB + 512 }]),
  one(
    'a disk of 2⁶³ bytes',
    footers((footer) => footer.writeBigUInt64BE(2n ** 63n, 48)),
    refused,
  ),
  ...[0, 3 * MIB, 2 ** 31].map((blockBytes) =>
    one(
      `blocks of ${blockBytes} bytes`,
      header((bytes) => bytes.writeUInt32BE(blockBytes, 32)),
      refused,
    ),
  ),
  bad('blocks of two sizes', [child, { ...plain, blockBytes: 2 ** 20 }], refused),
  bad('no parent', [{ ...child, parent: { id: 7, name: 'gone.vhd' } }]),
  bad('another disk as parent', [{ ...child, parent: { id: 7, name: nameOf(2) } }, plain]),
  bad('a raw parent', [{ ...child, parent: { id: 0, name: nameOf(2) } }, plain]),
  bad('a parent whose block is there twice', [child, plain], {
    damage: (_, parent) => entry(0, atBlock(1, 0))(parent),
  }),
  bad('a fixed disk that is longer than its file', [{ ...plain, type: 2 }], {
    damage: (file) => file && last(file).writeBigUInt64BE(2n ** 30n, 48) && withChecksum(last(file), 64),
  }),
  bad('a fixed disk with a wrong checksum', [{ ...plain, type: 2 }], {
    damage: (file) => last(file).writeUInt8(1, 300),
  }),
];
