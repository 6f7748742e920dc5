import { BLOCK, type Case, child, good, MIB, plain, sectors } from './case.ts';

const end = (bytes: number) => sectors(bytes) - 1;
const grown = { virtualBytes: 9 * MIB, runs: [{ sector: end(9 * MIB), count: 1, seed: 5 }] };
/** It ends in the middle of its second block, and has rubbish behind. */
const short = {
  virtualBytes: 3 * MIB,
  stale: true,
  runs: [{ sector: end(3 * MIB) - 9, count: 10, seed: 6 }],
};
/** XenServer's largest disk; something in its first and its last sector. */
const LARGEST = 2040 * 1024 * MIB;
const atEnds = (bytes: number, seed: number) => [
  { sector: 0, count: 1, seed },
  { sector: end(bytes), count: 1, seed },
];
const readOnly: Pick<Case, 'verdict' | 'plugin' | 'pool'> = {
  verdict: 'read',
  plugin: 'refused',
  pool: 'any',
};

/** Chains that are whole. */
export const whole: readonly Case[] = [
  good('a dynamic disk', plain),
  good('a dynamic disk that holds nothing', {}),
  good('a child and its parent', child, plain),
  good('a child that holds nothing', {}, plain),
  good('four layers', child, {}, { runs: [{ sector: 3, count: 8190, seed: 7 }] }, { ...plain, hidden: true }),
  {
    ...good('a header that is not at 512', { ...child, headerAt: 4096 }, { ...plain, headerAt: 512 * 9 }),
    pool: 'any',
  },
  good('a BAT that is far behind the header', { ...child, gapBeforeBat: 65536 }, plain),
  good('locators in front of the BAT', { ...child, locators: 'before' }, plain),
  // libvhd finds the parent by them, and not by the name in the header.
  { ...good('no locators', { ...child, locators: 'none' }, plain), plugin: 'may', pool: 'any' },
  good('blocks in any order', { ...plain, order: [2, 0, 1] }),
  good('blocks in any order in a child, too', { ...child, order: [1, 0] }, { ...plain, order: [1, 2, 0] }),
  good('something else between blocks', { ...child, gap: 1024 }, { ...plain, gap: 7 * 512 }),
  good('a BAT with room for a larger disk', { ...child, batEntries: 999 }, { ...plain, batEntries: 2 ** 20 }),
  good('rubbish where a bitmap says that nothing is', { ...child, stale: true }, { ...plain, stale: true }),
  good('a disk of one sector', { virtualBytes: 512, runs: atEnds(512, 1) }),
  good('a disk of one block', { virtualBytes: BLOCK, runs: atEnds(BLOCK, 1) }),
  good('a disk of a block and a sector', { virtualBytes: BLOCK + 512, runs: atEnds(BLOCK + 512, 1) }),
  good('the largest disk', { virtualBytes: LARGEST, runs: atEnds(LARGEST, 1) }),
  good(
    'the largest disk on a parent',
    { virtualBytes: LARGEST },
    { virtualBytes: LARGEST, runs: atEnds(LARGEST, 1) },
  ),
  good('a child that has grown', grown, plain),
  good('a grown child of a parent with rubbish behind its end', grown, short),
  good(
    'a grown child that has a part of that block itself',
    { ...grown, runs: [{ sector: 6140, count: 7, seed: 8 }] },
    short,
  ),
  // Nobody shrinks a disk; tapdisk would read it.
  {
    ...good('a grown child of a short one of a long one', grown, short, { ...plain, virtualBytes: 9 * MIB }),
    plugin: 'may',
  },
  {
    ...good('a child that is shorter than its parent', { virtualBytes: 3 * MIB, runs: [] }, plain),
    plugin: 'may',
  },
  good('rubbish behind the end of the leaf', { ...short, stale: true }),
  ...['win ', 'qemu', 'qem2', 'vbox', 'vpc '].map((creator) =>
    good(
      `files of the writer "${creator}"`,
      { ...child, creator },
      { ...plain, creator, creatorVersion: 0x50003 },
    ),
  ),
  { what: 'a hidden leaf', layers: [{ ...plain, hidden: true }], ...readOnly, pool: 'read' },
  {
    what: 'a parent that the first tools hid without another checksum',
    layers: [child, plain],
    damage: (_, parent) => parent?.bytes.writeUInt8(1, 85),
    ...readOnly,
    plugin: 'may',
  },
  { what: 'a fixed disk', layers: [{ ...plain, type: 2 }], ...readOnly },
  { what: 'a fixed disk of one sector', layers: [{ virtualBytes: 512, type: 2 }], ...readOnly },
  { what: 'a fixed parent', layers: [child, { ...plain, type: 2 }], ...readOnly },
  { what: 'a fixed parent of a grown child', layers: [grown, { ...plain, type: 2 }], ...readOnly },
  ...[2 ** 19, MIB, 4 * MIB, 16 * MIB].map((blockBytes) => ({
    what: `blocks of ${blockBytes / 1024} KiB`,
    layers: [
      { ...child, blockBytes },
      { ...plain, blockBytes },
    ],
    ...readOnly,
    // libvhd counts entries of the BAT as if all blocks had 2 MiB, and refuses larger ones.
    pool: 'refused' as const,
  })),
  {
    what: 'rubbish in entries of the BAT that the disk does not need',
    layers: [{ ...plain, batEntries: 9 }],
    damage: (file) => file?.bytes.writeUInt32BE(1, file.batAt + 5 * 4),
    ...readOnly,
    plugin: 'may',
    pool: 'read',
  },
];
