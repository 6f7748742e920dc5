import { execFile } from 'node:child_process';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { coalesceIntoParent, reparent } from '../../../local/vhd/chain.ts';
import { createChildVhd, setHidden } from '../../../local/vhd/vhd.ts';
import { extractWith7zip, qemuImg, sevenZip } from '../../support/seven-zip.ts';
import { readChain } from '../../support/vhd-reader.ts';
import { modelledChain, pattern, temporaryFolder, type Write } from './modelled-chain.ts';

/** Neither whole blocks nor whole bytes of a sector bitmap: the last block holds 3 sectors. */
const VIRTUAL_BYTES = 3 * 2 ** 21 + 3 * 512;
const LAST_SECTOR = VIRTUAL_BYTES / 512 - 1;

const base: Write[] = [
  { sector: 0, data: pattern(1, 1) },
  { sector: 4090, data: pattern(2, 12) },
  { sector: 9001, data: pattern(3, 700) },
];
const children: Write[][] = [
  [
    { sector: 4095, data: pattern(4, 2) },
    { sector: 9003, data: pattern(5, 1) },
    { sector: 9008, data: Buffer.alloc(3 * 512) },
    { sector: LAST_SECTOR, data: pattern(6, 1) },
  ],
  [
    { sector: 9009, data: pattern(7, 1) },
    { sector: 3, data: pattern(8, 4) },
    { sector: 4000, data: pattern(9, 5000) },
  ],
  [],
  [{ sector: LAST_SECTOR - 2, data: pattern(10, 2) }],
];

describe.each([3, 5])('a chain of %i', (depth) => {
  const layers = [base, ...children].slice(0, depth);

  it('reads as the raw model did when each layer was the leaf', async () => {
    await using dir = await temporaryFolder();
    const chain = await modelledChain(dir.path, VIRTUAL_BYTES, layers);
    for (const [i, { rawPath }] of chain.entries()) {
      const seen = await readChain(chain.slice(i).map(({ path }) => path));
      expect(await seen.compareWith(rawPath)).toBeNull();
    }
  });

  it.runIf(sevenZip())('reads the same to 7-Zip, base copies hidden', async () => {
    await using dir = await temporaryFolder();
    const chain = await modelledChain(dir.path, VIRTUAL_BYTES, layers);
    for (const { path } of chain.slice(1)) await setHidden(path, true);
    for (const [i, { rawPath }] of chain.entries()) {
      const out = join(dir.path, '7zip.raw');
      await extractWith7zip(
        chain.slice(i).map(({ path }) => path),
        out,
      );
      await expectSameBytes(out, rawPath);
    }
  });

  it.runIf(qemuImg())('has a base that qemu-img reads', async () => {
    await using dir = await temporaryFolder();
    const leafFirst = await modelledChain(dir.path, VIRTUAL_BYTES, layers);
    const bottom = leafFirst.at(-1);
    const out = join(dir.path, 'qemu.raw');
    await promisify(execFile)(qemuImg() ?? '', [
      'convert',
      '-f',
      'vpc',
      '-O',
      'raw',
      bottom?.path ?? '',
      out,
    ]);
    await expectSameBytes(out, bottom?.rawPath ?? '');
  });
});

describe('coalesceIntoParent', () => {
  it('leaves what every child sees as it was, before and after the reparenting', async () => {
    await using dir = await temporaryFolder();
    const [leaf, middle, below, bottom] = await chainOfFour(dir.path);
    const sibling = join(dir.path, 'sibling.vhd');
    await createChildVhd(sibling, {
      uuid: crypto.randomUUID(),
      parentPath: middle.path,
      createdAt: new Date(),
    });

    await coalesceIntoParent(middle.path, below.path);
    const before = await readChain([leaf.path, middle.path, below.path, bottom.path]);
    expect(await before.compareWith(leaf.rawPath)).toBeNull();

    for (const child of [leaf.path, sibling]) await reparent(child, below.path);
    await rm(middle.path);
    const after = await readChain([leaf.path, below.path, bottom.path]);
    expect(await after.compareWith(leaf.rawPath)).toBeNull();
    const seenBySibling = await readChain([sibling, below.path, bottom.path]);
    expect(await seenBySibling.compareWith(middle.rawPath)).toBeNull();
  });

  it('writes a child’s zeros over its base’s data', async () => {
    await using dir = await temporaryFolder();
    const [child, bottom] = await modelledChain(dir.path, VIRTUAL_BYTES, [
      base,
      [{ sector: 4094, data: Buffer.alloc(4 * 512) }],
    ]);
    await coalesceIntoParent(child?.path ?? '', bottom?.path ?? '');
    expect(await (await readChain([bottom?.path ?? ''])).compareWith(child?.rawPath ?? '')).toBeNull();
  });

  it('refuses two files that are not child and parent', async () => {
    await using dir = await temporaryFolder();
    const [leaf, , below] = await chainOfFour(dir.path);
    await expect(coalesceIntoParent(leaf.path, below.path)).rejects.toThrow('is not the parent of');
  });
});

describe('reparent', () => {
  it('names the new parent by UUID, file name and in every locator', async () => {
    await using dir = await temporaryFolder();
    const [leaf, , below, bottom] = await chainOfFour(dir.path);
    await reparent(leaf.path, below.path);
    const { layers } = await readChain([leaf.path, below.path, bottom.path]);
    expect(layers[0]).toMatchObject({
      parentUuid: below.uuid,
      parentName: `${below.uuid}.vhd`,
      locators: {
        MacX: `file://./${below.uuid}.vhd`,
        W2ku: `.\\${below.uuid}.vhd`,
        W2ru: `.\\${below.uuid}.vhd`,
      },
    });
  });

  it('changes nothing in a dynamic disk', async () => {
    await using dir = await temporaryFolder();
    const [leaf, , , bottom] = await chainOfFour(dir.path);
    await expect(reparent(bottom.path, leaf.path)).rejects.toThrow('cannot have a parent');
  });

  it('refuses a path that its locators have no room for', async () => {
    await using dir = await temporaryFolder();
    const [leaf] = await chainOfFour(dir.path);
    const long = join(dir.path, 'folder', `${'x'.repeat(250)}.vhd`);
    await mkdir(join(dir.path, 'folder'));
    const [parent] = await modelledChain(dir.path, VIRTUAL_BYTES, [[]]);
    await rename(parent?.path ?? '', long);
    await expect(reparent(leaf.path, long)).rejects.toThrow('No room');
  });
});

async function chainOfFour(dir: string) {
  const [leaf, middle, below, bottom] = await modelledChain(dir, VIRTUAL_BYTES, [
    base,
    ...children.slice(0, 2),
    [{ sector: 9004, data: pattern(11, 2) }],
  ]);
  if (!leaf || !middle || !below || !bottom) throw new Error('four layers were asked for');
  return [leaf, middle, below, bottom] as const;
}

async function expectSameBytes(path: string, rawPath: string): Promise<void> {
  const { stdout } = await promisify(execFile)('sha256sum', [path, rawPath]);
  const [first, second] = stdout.split('\n').map((line) => line.slice(0, 64));
  expect(first).toBe(second);
}
