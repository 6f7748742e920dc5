import { execFile } from 'node:child_process';
import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../local/vhd/modelled-chain.ts';
import { validateNovaBundle } from '../support/vhd-importer.ts';
import { uuidOf, type VhdSpec } from './build.ts';
import { child, filesOf, nameOf, plain } from './case.ts';

const DAY = 24 * 3600;
const now = Math.floor(Date.now() / 1000);
const sinceVhdEpoch = (seconds: number) => seconds - 946_684_800;
const five: Partial<VhdSpec>[] = [child, {}, child, {}, plain];

/** What the importer says of a chain, each of its files with its own time in the tar, at a date. */
async function said(
  layers: readonly Partial<VhdSpec>[],
  { times = [], at = now, more = [] }: { times?: number[]; at?: number; more?: string[] } = {},
): Promise<string[]> {
  await using dir = await temporaryFolder();
  const folder = join(dir.path, 'files');
  await mkdir(folder);
  const files = filesOf({ what: '', layers, verdict: 'read', plugin: 'bundled', pool: 'read' });
  for (const [i, { bytes }] of files.entries()) {
    await writeFile(join(folder, `${i}.vhd`), bytes);
    const time = times[i] ?? now;
    await utimes(join(folder, `${i}.vhd`), time, time);
  }
  for (const name of more) await writeFile(join(folder, name), '');
  const archive = join(dir.path, 'image.tgz');
  await promisify(execFile)('tar', ['-zcf', archive, `--directory=${folder}`, '.']);
  return await validateNovaBundle(archive, new Date(at * 1000));
}

describe('the time of the base in the tar', () => {
  const inFuture = ['0.vhd: differencing header is invalid: parent creation time in future'];

  it.each<[number, string[]]>([
    [0, inFuture],
    [946_684_799, inFuture],
    [946_684_801, []],
    [now, []],
    [now + 1700, []],
    [now + DAY, inFuture],
  ])('of %i makes an image of two files answer %j', async (time, answer) => {
    expect(await said([child, plain], { times: [now, time] })).toEqual(answer);
  });

  it('is what counts; the importer writes the other files itself before it reads their times', async () => {
    expect(await said(five, { times: [0, 0, 0, 0, now] })).toEqual([]);
    expect(await said(five, { times: [now, now, now, now, 0] })).toEqual([
      '3.vhd: differencing header is invalid: parent creation time in future',
    ]);
    expect(await said([plain], { times: [0] })).toEqual([]);
  });

  it('may be now today and after a year, but not where a clock is a day behind; a disk’s own time may', async () => {
    const own = 946_684_800 + 700_000_000;
    for (const at of [now, now + 365 * DAY]) expect(await said(five, { at })).toEqual([]);
    expect(await said(five, { at: now - DAY })).toHaveLength(1);
    expect(await said(five, { at: now - DAY, times: [own, own, own, own, own] })).toEqual([]);
  });
});

describe('an image is refused', () => {
  const lastHour = sinceVhdEpoch(now - 3600);

  it('whose disk was made later than the clock says', async () => {
    const young = [{ ...child, createdAt: lastHour }, plain];
    expect(await said(young)).toEqual([]);
    const times = [now - 2 * DAY, now - 2 * DAY];
    expect(await said(young, { times, at: now - DAY })).toEqual([
      '0.vhd: primary footer invalid: creation time in future',
    ]);
  });

  it('whose leaf is hidden, but not for hidden base copies', async () => {
    expect(await said([child, { ...plain, hidden: true }])).toEqual([]);
    expect(await said([{ ...plain, hidden: true }])).toEqual(['the leaf, 0.vhd, is hidden']);
  });

  it('for another disk as parent, although the importer would link it', async () => {
    const answer = await said([{ ...child, parent: { id: 7, name: nameOf(2) } }, plain]);
    expect(answer.join()).toMatch('is not the child of');
    expect(uuidOf(7)).not.toEqual(uuidOf(2));
  });

  it('for a fixed disk, which makes it fail', async () => {
    expect(await said([{ ...plain, type: 2 }])).toContain('0.vhd: it is fixed');
  });

  it('for a child that has no locators to be linked by', async () => {
    expect(await said([{ ...child, locators: 'none' }, plain])).toEqual(['0.vhd: could not find parent']);
  });

  it('for a file that does not belong there, but not for a swap disk or what is known of the VM', async () => {
    expect(await said([plain], { more: ['swap.vhd', 'vm.json'] })).toEqual([]);
    expect(await said([plain], { more: ['manifest.xml'] })).toEqual(['manifest.xml does not belong there']);
    expect(await said([plain], { more: ['3.vhd'] })).toEqual(['1.vhd is missing']);
  });

  it('for more files than the importer has UUIDs for', async () => {
    const many = Array.from({ length: 17 }, () => ({}));
    expect(await said(many)).toEqual(['17 files are more than the 16 that Nova restores']);
    expect(await said(many.slice(1))).toEqual([]);
  });
});
