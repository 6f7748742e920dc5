import { execFile } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { unpack } from '../../bin/unpack/unpack.ts';
import { temporaryFolder } from '../local/vhd/modelled-chain.ts';
import { type Case, filesOf, modelOf, nameOf } from './case.ts';
import { damaged } from './damaged.ts';
import { whole } from './whole.ts';

/** `get_vdis` and `unpack` read the same images, to the same disks. */
const ALL = 2 ** 24;
const LARGEST = 2041 * 2 ** 30;
const MUTATED = Number(process.env.XENSNAP_MUTATED_RUNS ?? 120);
const SEED = Number(process.env.XENSNAP_MUTATED_FIRST ?? 5000);
const MUTATED_DISK = 2 ** 21;

interface Answer {
  readonly code: string | null;
  readonly message?: string;
  readonly virtualBytes?: number;
  readonly layers?: number;
}

const cases = [...whole, ...damaged];
const run = promisify(execFile);
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const dir = await temporaryFolder();
const tableDir = join(dir.path, 'table');
const mutatedDir = join(dir.path, 'mutated');
const table: Answer[] = [];
const mutated: Answer[] = [];

beforeAll(async () => {
  await mkdir(tableDir);
  await mkdir(mutatedDir);
  for (const [at, one] of cases.entries()) {
    const folder = join(tableDir, String(at));
    await mkdir(folder);
    for (const { name, bytes } of filesOf(one)) await writeFile(join(folder, name), bytes);
    await run('tar', ['-czf', `${folder}.tgz`, '-C', folder, ...one.layers.map((_, i) => nameOf(i + 1))]);
  }
  table.push(...(await restored(tableDir, LARGEST, cases.length)));
  mutated.push(...(await restored(mutatedDir, MUTATED_DISK, MUTATED, SEED)));
  return () => dir[Symbol.asyncDispose]();
}, 1_200_000);

async function restored(folder: string, ...numbers: number[]): Promise<Answer[]> {
  const code = process.env.XENSNAP_PLUGIN ?? here('../../plugin/glance');
  const args = [here('plugin_restores.py'), code, folder, ...numbers.map(String)];
  const { stdout } = await run('python3', args, { maxBuffer: 2 ** 26 });
  return JSON.parse(stdout);
}

describe.each(cases.map((one, at) => [one.what, one, at] as const))('%s', (_, one, at) => {
  it(`is ${one.verdict} by get_vdis`, async () => {
    const answer = table[at];
    if (one.verdict === 'refused') return expect(answer).toMatchObject({ code: 'IMAGE_DAMAGED' });
    const { bytes } = modelOf(one);
    expect(answer).toEqual({ code: null, virtualBytes: bytes, layers: one.layers.length });
    await expectDisk(one, join(tableDir, `${at}.disk`));
  });
});

/** All of a small one; of a large one, what the model holds, and that nothing else was written. */
async function expectDisk(one: Case, path: string): Promise<void> {
  const { bytes, sectors } = modelOf(one);
  const disk = await open(path);
  try {
    const read = async (offset: number, length: number) =>
      (await disk.read(Buffer.alloc(length), 0, length, offset)).buffer;
    for (const [sector, held] of sectors)
      expect(await read(sector * 512, 512), `sector ${sector}`).toEqual(held);
    expect((await stat(path)).blocks * 512).toBeLessThanOrEqual(sectors.size * 2 ** 16);
    if (bytes > ALL) return;
    const wanted = Buffer.alloc(bytes + 2 ** 20);
    for (const [sector, held] of sectors) held.copy(wanted, sector * 512);
    expect((await read(0, wanted.length)).equals(wanted)).toBe(true);
  } finally {
    await disk.close();
  }
}

it('takes no image that somebody has changed for another disk than unpack does', {
  timeout: 1_200_000,
}, async () => {
  const taken = { both: 0, unpackAlone: 0, neither: 0 };
  for (const [at, answer] of mutated.entries()) {
    const what = `seed ${SEED + at}: ${answer.message}`;
    const expected = await unpacked(join(mutatedDir, `${at}.tgz`));
    if (answer.code !== null) {
      expect(['IMAGE_DAMAGED', 'VDI_TOO_SMALL'], what).toContain(answer.code);
      taken[expected ? 'unpackAlone' : 'neither']++;
      continue;
    }
    const disk = await readFile(join(mutatedDir, `${at}.disk`));
    expect(expected, what).toBeDefined();
    expect(answer.virtualBytes, what).toBe(expected?.length);
    expect(disk.equals(Buffer.concat([expected ?? Buffer.alloc(0)], MUTATED_DISK)), what).toBe(true);
    taken.both++;
  }
  expect(taken.both).toBeGreaterThan(MUTATED / 5);
  // What is refused with more reason: a number that is missing, something after the gzip, a layer larger than the disk.
  expect(taken.unpackAlone).toBeLessThan(MUTATED / 10);
});

async function unpacked(image: string): Promise<Buffer | undefined> {
  const path = `${image}.raw`;
  const to = await open(path, 'w+');
  try {
    await unpack(createReadStream(image), { to, again: () => createReadStream(image) });
    const { size } = await to.stat();
    return size > MUTATED_DISK ? undefined : await readFile(path);
  } catch (error) {
    expect((error as Error).name).toBe('ImageDamaged');
    return undefined;
  } finally {
    await to.close();
  }
}
