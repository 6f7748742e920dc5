import { createHash } from 'node:crypto';
import { open, readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { readChain } from '../../support/vhd-reader.ts';
import { modelledChain, pattern, temporaryFolder } from './modelled-chain.ts';

const VIRTUAL_BYTES = 5 * 2 ** 20;

/** Changes bytes of a structure (footers: both of them) and, unless told not to, mends its checksum. */
async function tamper(
  path: string,
  where: 'footer' | 'header' | 'bat',
  change: (bytes: Buffer) => void,
  mend = true,
) {
  const bytes = await readFile(path);
  const places = { footer: [0, bytes.length - 512], header: [512], bat: [1536] }[where];
  for (const at of places) {
    const structure = bytes.subarray(at, at + (where === 'header' ? 1024 : 512));
    const checksumAt = where === 'footer' ? 64 : 36;
    change(structure);
    if (!mend || where === 'bat') continue;
    structure.writeUInt32BE(0, checksumAt);
    structure.writeUInt32BE(0xffff_ffff - structure.reduce((sum, byte) => sum + byte, 0), checksumAt);
  }
  await writeFile(path, bytes);
}

describe('the test’s own reader', () => {
  it('hashes, reads and compares the flattened disk', async () => {
    await using dir = await temporaryFolder();
    const { paths, raw } = await threeLayers(dir.path);
    const chain = await readChain(paths);
    const model = await readFile(raw);
    expect(await chain.sha256()).toBe(createHash('sha256').update(model).digest('hex'));
    expect(await chain.read(4095 * 512 + 100, 900)).toEqual(
      model.subarray(4095 * 512 + 100, 4095 * 512 + 1000),
    );
    await flipByte(raw, 4_000_000);
    expect(await chain.compareWith(raw)).toBe(4_000_000);
    await writeFile(raw, model.subarray(0, 4_194_304));
    expect(await chain.compareWith(raw)).toBe(4_194_304);
  });

  it('rejects a wrong order', async () => {
    await using dir = await temporaryFolder();
    const [leaf, middle, base] = (await threeLayers(dir.path)).paths;
    await expect(readChain([leaf, base, middle])).rejects.toThrow('is not the child of');
    await expect(readChain([leaf, middle])).rejects.toThrow('is the last one but has a parent');
  });

  it.each([
    ['the footer has a wrong checksum', 'footer', 30, 1, false],
    ['the footer has another cookie', 'footer', 0, 1, true],
    ['the header has a wrong checksum', 'header', 700, 1, false],
    ['its time stamp is in the future', 'footer', 24, 0xff, true],
    ['its type is neither', 'footer', 63, 5, true],
    ['the BAT is too short', 'header', 31, 1, true],
    ['a block reaches beyond', 'bat', 0, 0x10, false],
    ['a block overlaps the metadata', 'bat', 3, 1, false],
  ] as const)('rejects a file where %s', async (rule, where, at, value, mend) => {
    await using dir = await temporaryFolder();
    const base = (await threeLayers(dir.path)).paths[2];
    await tamper(base, where, (bytes) => bytes.writeUInt8(value, at), mend);
    await expect(readChain([base])).rejects.toThrow(rule);
  });

  it('rejects two blocks in the same place, and a copy of the footer that differs', async () => {
    await using dir = await temporaryFolder();
    const [, middle, base] = (await threeLayers(dir.path)).paths;
    await tamper(base, 'bat', (bat) => bat.copy(bat, 4, 0, 4));
    await expect(readChain([base])).rejects.toThrow('two blocks overlap');
    await flipByte(middle, 84);
    await expect(readChain([middle])).rejects.toThrow('the copy of the footer at 0 differs');
  });
});

async function threeLayers(dir: string): Promise<{ paths: [string, string, string]; raw: string }> {
  const [leaf, middle, base] = await modelledChain(dir, VIRTUAL_BYTES, [
    [{ sector: 4000, data: pattern(1, 200) }],
    [{ sector: 4095, data: pattern(2, 2) }],
    [{ sector: 10239, data: pattern(3, 1) }],
  ]);
  if (!leaf || !middle || !base) throw new Error('three layers were asked for');
  return { paths: [leaf.path, middle.path, base.path], raw: leaf.rawPath };
}

async function flipByte(path: string, at: number): Promise<void> {
  const file = await open(path, 'r+');
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at);
  await file.write(Buffer.from([buffer.readUInt8(0) ^ 0xff]), 0, 1, at);
  await file.close();
}
