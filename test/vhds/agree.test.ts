import { execFile } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { unpack } from '../../bin/unpack/unpack.ts';
import { openVhd } from '../../local/vhd/vhd.ts';
import { temporaryFolder } from '../local/vhd/modelled-chain.ts';
import { qemuImg } from '../support/seven-zip.ts';
import { validateNovaBundle } from '../support/vhd-importer.ts';
import { readChain } from '../support/vhd-reader.ts';
import { type Case, filesOf, modelOf, nameOf } from './case.ts';
import { damaged } from './damaged.ts';
import { whole } from './whole.ts';

/**
 * One table of VHDs for all who read them: the plugin, `unpack`, the simulated pool and the tests' own reader. What the
 * plugin bundles, unpack reads, to the same disk; nothing else is called good.
 */
/** Disks up to this size are compared byte by byte. */
const ALL = 2 ** 24;
const cases = [...whole, ...damaged];
const run = promisify(execFile);
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** What the plugin said of each case; its bundle is beside the case's folder. */
const plugin: { code: string | null; retryable?: boolean; message?: string }[] = [];
const dir = await temporaryFolder();
const folderOf = (one: Case) => join(dir.path, String(cases.indexOf(one)));
const pathsOf = (one: Case) => one.layers.map((_, i) => join(folderOf(one), nameOf(i + 1)));

beforeAll(async () => {
  for (const one of cases) {
    await mkdir(folderOf(one));
    for (const { name, bytes } of filesOf(one)) await writeFile(join(folderOf(one), name), bytes);
  }
  const leaf = nameOf(1).replace('.vhd', '');
  const code = process.env.XENSNAP_PLUGIN ?? here('../../plugin/glance');
  const { stdout } = await run('python3', [
    here('plugin_reads.py'),
    code,
    dir.path,
    String(cases.length),
    leaf,
  ]);
  plugin.push(...JSON.parse(stdout));
  return () => dir[Symbol.asyncDispose]();
}, 120_000);

describe.each(cases)('$what', (one) => {
  it(`is ${one.verdict} by the tests’ own reader`, async () => {
    const chain = readChain(pathsOf(one));
    if (one.verdict === 'refused') return expect(chain).rejects.toThrow();
    await expectModel(one, (offset, length) => chain.then((all) => all.read(offset, length)));
  });

  it(`is ${one.verdict} by unpack`, async () => {
    const image = `${folderOf(one)}-own.tgz`;
    await run('tar', ['-czf', image, '-C', folderOf(one), ...one.layers.map((_, i) => nameOf(i + 1))]);
    if (one.verdict === 'read') return expectUnpacked(one, image);
    await expect(unpack(createReadStream(image))).rejects.toMatchObject({ name: 'ImageDamaged' });
  });

  it(`is ${one.plugin} by the plugin`, async () => {
    const said = plugin[cases.indexOf(one)];
    const found = said?.code === null ? 'bundled' : said?.code === 'CHAIN_CHANGED' ? 'busy' : 'refused';
    expect(WORDS[one.plugin], JSON.stringify(said)).toContain(found);
    if (found === 'busy') expect(said).toMatchObject({ retryable: true });
    if (found === 'bundled') await expectUnpacked(one, `${folderOf(one)}.tgz`);
    if (one.plugin === 'bundled') expect(await validateNovaBundle(`${folderOf(one)}.tgz`)).toEqual([]);
  });

  it.runIf(qemuImg() && isForQemu(one))('is read by qemu-img', async () => {
    const image = `driver=vpc,file.filename=${pathsOf(one)[0]},force_size_calc=current_size`;
    const out = `${folderOf(one)}-qemu.raw`;
    await run(qemuImg() ?? '', ['convert', '--image-opts', image, '-O', 'raw', out]);
    const disk = await readFile(out);
    await expectModel(one, async (offset, length) => disk.subarray(offset, offset + length));
  });

  it.skipIf(one.pool === 'any')(`is ${one.pool} by the simulated pool`, async () => {
    const layers = Promise.all(pathsOf(one).map((path) => openVhd(path)));
    if (one.pool === 'refused') return expect(layers).rejects.toMatchObject({ name: 'VhdError' });
    const open = await layers;
    try {
      await expectModel(one, (offset, length) => readAsPool(open, offset, length));
    } finally {
      await Promise.all(open.map((layer) => layer.close()));
    }
  });
});

/** It reads single files, and no bitmaps: what is stale it takes for data. */
function isForQemu({ layers, plugin, verdict, damage }: Case): boolean {
  const [{ virtualBytes = 0, stale } = {}] = layers;
  return (
    layers.length === 1 && verdict === 'read' && plugin !== 'may' && !damage && !stale && virtualBytes < ALL
  );
}

const WORDS: Readonly<Record<Case['plugin'], readonly string[]>> = {
  bundled: ['bundled'],
  refused: ['refused'],
  busy: ['busy'],
  no: ['refused', 'busy'],
  may: ['bundled', 'refused'],
};

async function expectUnpacked(one: Case, image: string): Promise<void> {
  const path = `${image}.raw`;
  const to = await open(path, 'w+');
  try {
    const again = () => createReadStream(image);
    const { layers } = await unpack(again(), { to, again });
    expect(layers).toHaveLength(one.layers.length);
    const { bytes, sectors } = modelOf(one);
    expect(await to.stat()).toMatchObject({ size: bytes });
    await expectModel(
      one,
      async (offset, length) => (await to.read(Buffer.alloc(length), 0, length, offset)).buffer,
    );
    // Nothing else is there, where the disk is too large to be read.
    expect((await stat(path)).blocks * 512).toBeLessThanOrEqual(sectors.size * 2 ** 16);
  } finally {
    await to.close();
  }
}

/** Compares the disk with the model: all of a small one, of a large one what is around the sectors that it holds. */
async function expectModel(
  one: Case,
  read: (offset: number, length: number) => Promise<Buffer>,
): Promise<void> {
  const { bytes, sectors } = modelOf(one);
  const wanted = (offset: number, length: number) => {
    const data = Buffer.alloc(length);
    for (const [sector, held] of sectors)
      if (sector * 512 >= offset && sector * 512 < offset + length) held.copy(data, sector * 512 - offset);
    return data;
  };
  const parts = bytes <= ALL ? [0] : [...sectors.keys()].map((at) => Math.min(at * 512, bytes - ALL));
  for (const offset of parts) {
    const length = Math.min(ALL, bytes);
    const [found, expected] = [await read(offset, length), wanted(offset, length)];
    if (!found.equals(expected))
      throw new Error(`The disk differs at byte ${offset + differenceIn(found, expected)}`);
  }
}

function differenceIn(found: Buffer, expected: Buffer): number {
  const at = found.findIndex((byte, i) => byte !== expected[i]);
  return at < 0 ? found.length : at;
}

/** Layer by layer, leaf first, as tapdisk asks its drivers. */
async function readAsPool(
  layers: Awaited<ReturnType<typeof openVhd>>[],
  offset: number,
  length: number,
): Promise<Buffer> {
  const result = Buffer.alloc(length);
  const settled = new Set<number>();
  let end = length / 512;
  for (const layer of layers) {
    end = Math.min(end, Math.max(0, (layer.virtualBytes - offset) / 512));
    const { data, present } = await layer.readSectors(offset / 512, end);
    for (const [i, isThere] of present.entries()) {
      if (!isThere || settled.has(i)) continue;
      data.copy(result, i * 512, i * 512, i * 512 + 512);
      settled.add(i);
    }
  }
  return result;
}
