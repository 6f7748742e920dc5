import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { coalesceIntoParent, reparent } from '../../../local/vhd/chain.ts';
import { extractWith7zip, sevenZip } from '../../support/seven-zip.ts';
import { readChain } from '../../support/vhd-reader.ts';
import { anyWrite } from './any-write.ts';
import { modelledChain, temporaryFolder } from './modelled-chain.ts';

const SECTORS = 2 * 4096 + 77;

const someLayers = fc.array(fc.array(anyWrite(SECTORS), { maxLength: 5 }), { minLength: 2, maxLength: 4 });

it('reads every layer as the raw model, whatever was written, also after a coalesce', async () => {
  await fc.assert(
    fc.asyncProperty(someLayers, fc.nat(), async (layers, pick) => {
      await using dir = await temporaryFolder();
      const chain = await modelledChain(dir.path, SECTORS * 512, layers);
      await expectModel(chain);

      const at = pick % (chain.length - 1);
      const [gone, into, above] = [chain[at], chain[at + 1], chain[at - 1]];
      await coalesceIntoParent(gone?.path ?? '', into?.path ?? '');
      if (above) await reparent(above.path, into?.path ?? '');
      await rm(gone?.path ?? '');
      // What was the coalesced node's content is its parent's now.
      const merged = { path: into?.path ?? '', rawPath: gone?.rawPath ?? '' };
      await expectModel([...chain.slice(0, at), merged, ...chain.slice(at + 2)]);
    }),
    { numRuns: 20 },
  );
});

it.runIf(sevenZip())('reads the same to 7-Zip', async () => {
  await fc.assert(
    fc.asyncProperty(someLayers, async (layers) => {
      await using dir = await temporaryFolder();
      const chain = await modelledChain(dir.path, SECTORS * 512, layers);
      const paths = chain.map(({ path }) => path);
      const out = join(dir.path, '7zip.raw');
      await extractWith7zip(paths, out);
      expect(await (await readChain(paths)).compareWith(out)).toBeNull();
    }),
    { numRuns: 5 },
  );
});

async function expectModel(chain: readonly { path: string; rawPath: string }[]): Promise<void> {
  for (const [i, { rawPath }] of chain.entries()) {
    const seen = await readChain(chain.slice(i).map(({ path }) => path));
    expect(await seen.compareWith(rawPath)).toBeNull();
  }
}
