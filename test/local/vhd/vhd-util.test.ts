import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { coalesceIntoParent, reparent } from '../../../local/vhd/chain.ts';
import { createChildVhd, createDynamicVhd, openVhd } from '../../../local/vhd/vhd.ts';
import { readChain } from '../../support/vhd-reader.ts';
import { pattern, temporaryFolder, write } from './modelled-chain.ts';

/** Made by vhd-util (blktap of 2026-02): `create -n base.vhd -s 4`, a `snapshot` of it, and the base hidden. */
const fromVhdUtil = {
  'base.vhd':
    'H4sIAAAAAAACA0vOz0tNLsmsYGBgYGJgZIACJgaj6X9XlSQWMADFmGGiDA5IdAWLIJBk/v//Y0CqjXjocXa3Bdu6nmzii+GoQpgzCgY7SK4oLkgsKk79DwUQUTYGaBwyMSgwMPz//6V0NKRGwSgYfgA134+CkQZKUpISS3JBFT0IcIEIRiBkGk0To2AUjID232j7f0QDAI6L8YQADgAA',
  'child.vhd':
    'H4sIAAAAAAACA0vOz0tNLsmsYGBgYGJgZIACJgaj6X9XlSQWMADFmGGiDA5IdAWLIJBk+f//43vbx2zu/AIOASu01UWPf2xoZBgFQwYkVxQXJBYVp/6HAogoGwM0LTAxKDAw/P//+EyqjXjocXa3Bdu6nmzii+GoAqUPsIokhkSGYoZUBj2GMoYMhpTREB1ZwDcxOQKUTIBAECHKwxBulF0KFRdBiPMBxYuwiAuMBuQAAdR8PwpGGihJSUosyQVV9CDABSIYgZBpNE2MglEw/EFaZk6qlb6+nn5SYnGqXlnGaANuZAE9hpjRJvxo/I/G/0jt/4+O/4xoAACfYTZEABQAAA==',
};
const VIRTUAL_BYTES = 4 * 2 ** 20;

describe('files that vhd-util made', () => {
  it('are read, written, reparented and coalesced like our own', async () => {
    await using dir = await temporaryFolder();
    const [base, child] = await unpack(dir.path);
    await write(base, [{ sector: 4090, data: pattern(1, 12) }]);
    await write(child, [{ sector: 4095, data: pattern(2, 2) }]);
    await reparent(child, base);
    const before = await readChain([child, base]);
    expect(before.layers.map(({ hidden }) => hidden)).toEqual([false, true]);
    await coalesceIntoParent(child, base);
    expect(await (await readChain([base])).sha256()).toBe(await before.sha256());
  });

  it('have the same header as ours, byte for byte, but for their UUIDs, times and the batmap we leave out', async () => {
    await using dir = await temporaryFolder();
    const [theirs, theirChild] = await unpack(dir.path);
    const original = await openVhd(theirs);
    await original.close();
    await using ownDir = await temporaryFolder();
    const [base, child] = [join(ownDir.path, 'base.vhd'), join(ownDir.path, 'child.vhd')];
    await createDynamicVhd(base, {
      uuid: original.uuid,
      virtualBytes: VIRTUAL_BYTES,
      createdAt: original.createdAt,
    });
    await createChildVhd(child, { uuid: original.uuid, parentPath: base, createdAt: original.createdAt });
    expect(await comparable(base)).toEqual(await comparable(theirs));
    expect(await comparable(child)).toEqual(await comparable(theirChild));
  });
});

async function unpack(dir: string): Promise<[base: string, child: string]> {
  for (const [name, packed] of Object.entries(fromVhdUtil))
    await writeFile(join(dir, name), gunzipSync(Buffer.from(packed, 'base64')));
  return [join(dir, 'base.vhd'), join(dir, 'child.vhd')];
}

/** Footer copy and header, zeros where they may differ. */
async function comparable(path: string): Promise<string> {
  const bytes = (await readFile(path)).subarray(0, 1536);
  const creatorVersion = 32;
  for (const [at, length] of [
    [24, 4],
    [creatorVersion, 4],
    [64, 4],
    [68, 16],
    [85, 1],
    [512 + 36, 4],
    [512 + 56, 4],
    // Where the three locators are.
    [512 + 576 + 16, 8],
    [512 + 600 + 16, 8],
    [512 + 624 + 16, 8],
  ] as const)
    bytes.fill(0, at, at + length);
  return bytes.toString('hex');
}
