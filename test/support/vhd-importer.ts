import { execFile } from 'node:child_process';
import { mkdtemp, open, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { checkVhd } from './vhd-check.ts';
import { readLayer } from './vhd-layer.ts';
import { linkProblems } from './vhd-reader.ts';

/** Nova hands its importer so many UUIDs (MAX_VDI_CHAIN_SIZE). */
const MOST_FILES = 16;

/**
 * What Nova's importer would say of an image at a date: an empty list is acceptance. It does to the tar.gz what os-xenapi
 * 0.3.4 does (dom0/etc/xapi.d/plugins/utils.py, extract_tarball and import_vhds), with `vhd-util`'s rules: tar unpacks it;
 * `vhd-util modify -n child -p parent` links the files by their numbers, from the base to the leaf; `vhd-util check -n FILE
 * -p` looks at each. It is stricter than the importer where that does not look: each file must pass the check as it comes,
 * without a repair, and be the child of the next before the importer makes it so.
 */
export async function validateNovaBundle(archive: string, now = new Date()): Promise<string[]> {
  const dir = await mkdtemp(join(tmpdir(), 'xensnap-nova-'));
  try {
    await promisify(execFile)('tar', ['-zx', '-f', archive, `--directory=${dir}`]);
    return await problemsIn(dir, now);
  } finally {
    await rm(dir, { recursive: true });
  }
}

async function problemsIn(dir: string, now: Date): Promise<string[]> {
  const names = (await readdir(dir)).filter((name) => name !== 'swap.vhd' && name !== 'vm.json');
  const vhds = names.filter((name) => /^\d+\.vhd$/.test(name));
  const expected = vhds.map((_, i) => `${i}.vhd`);
  const problems = [
    ...names.filter((name) => !vhds.includes(name)).map((name) => `${name} does not belong there`),
    ...(vhds.length === 0 ? ['there is no 0.vhd'] : []),
    ...(vhds.length > MOST_FILES
      ? [`${vhds.length} files are more than the ${MOST_FILES} that Nova restores`]
      : []),
    ...expected.filter((name) => !vhds.includes(name)).map((name) => `${name} is missing`),
  ];
  return problems.length > 0 ? problems : chainProblems(dir, expected, now);
}

async function chainProblems(dir: string, names: readonly string[], now: Date): Promise<string[]> {
  const layers = await Promise.allSettled(names.map((name) => readLayer(join(dir, name))));
  const damage = layers.flatMap((layer) =>
    layer.status === 'rejected' ? [String(layer.reason.message)] : [],
  );
  if (damage.length > 0) return damage;
  const sound = layers.flatMap((layer) => (layer.status === 'fulfilled' ? [layer.value] : []));
  const problems = linkProblems(sound);
  if (sound[0]?.hidden) problems.push('the leaf, 0.vhd, is hidden');
  for (const [i, name] of names.entries()) {
    // The check says nothing of a fixed disk, and the importer fails for want of a first line.
    if (sound[i]?.type === 'fixed') problems.push(`${name}: it is fixed`);
    const problem = await check(join(dir, name), now, await writtenAt(dir, names, i + 1, now));
    if (problem) problems.push(`${name}: ${problem}`);
  }
  return problems;
}

/**
 * When `modify` finds the Nth file written last: the base as tar has left it, with its entry's time. The others it has
 * just written itself, when it linked each to its own parent.
 */
async function writtenAt(
  dir: string,
  names: readonly string[],
  n: number,
  now: Date,
): Promise<Date | undefined> {
  const name = names[n];
  if (name === undefined) return undefined;
  return n === names.length - 1 ? (await stat(join(dir, name))).mtime : now;
}

async function check(path: string, now: Date, parentWritten: Date | undefined): Promise<string | undefined> {
  const file = await open(path);
  try {
    return await checkVhd(file, { now, parentWritten });
  } finally {
    await file.close();
  }
}
