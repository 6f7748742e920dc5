import { chmod, chown, lstat, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { privateFolder, shutBelow, writePrivateFile } from '../../local/private-files.ts';
import { keptToken, readToken, takes } from '../../local/token.ts';

let folder: string;
let warnings: string[];
const warn = (message: string) => void warnings.push(message);
beforeEach(async () => {
  warnings = [];
  folder = await mkdtemp(join(tmpdir(), 'xensnap-private-'));
  const made = folder;
  onTestFinished(() => rm(made, { recursive: true, force: true }));
});

const modeOf = async (path: string) => ((await lstat(path)).mode & 0o7777).toString(8);
const OTHER_USER = 65_534;
const isRoot = process.getuid?.() === 0;

describe('a folder', () => {
  it('is made for its user alone, and its parents with it', async () => {
    await privateFolder(join(folder, 'a/b'), warn);
    expect([await modeOf(join(folder, 'a')), await modeOf(join(folder, 'a/b'))]).toEqual(['700', '700']);
    expect(warnings).toEqual([]);
  });

  it('that others could read is closed to them, with all that is in it, and it is said so', async () => {
    await mkdir(join(folder, 'data/below'), { recursive: true });
    for (const name of ['data/image', 'data/below/run']) await writeFile(join(folder, name), 'x');
    await writeFile(join(folder, 'outside'), 'x');
    await symlink(join(folder, 'outside'), join(folder, 'data/link'));
    await chmod(join(folder, 'outside'), 0o644);
    await chmod(join(folder, 'data'), 0o755);
    await chmod(join(folder, 'data/below'), 0o777);
    await chmod(join(folder, 'data/image'), 0o644);
    await chmod(join(folder, 'data/below/run'), 0o755);
    await privateFolder(join(folder, 'data'), warn);
    await shutBelow(join(folder, 'data'), warn);
    const names = ['data', 'data/below', 'data/image', 'data/below/run', 'outside'];
    expect(await Promise.all(names.map((name) => modeOf(join(folder, name))))).toEqual([
      ...['700', '700', '600', '700', '644'],
    ]);
    expect(warnings).toEqual([
      `${join(folder, 'data')} was open to other users of this machine; now it is not`,
      `3 files and folders in ${join(folder, 'data')} were open to other users; now they are not`,
    ]);
    await shutBelow(join(folder, 'data'), warn);
    expect(warnings).toHaveLength(2);
  });

  it.skipIf(!isRoot)(
    'of another user is refused by name, and so is what another user has put there',
    async () => {
      await mkdir(join(folder, 'theirs'), { mode: 0o755 });
      await chown(join(folder, 'theirs'), OTHER_USER, OTHER_USER);
      const named = `${join(folder, 'theirs')} belongs to another user (number ${OTHER_USER})`;
      await expect(privateFolder(join(folder, 'theirs'), warn)).rejects.toThrow(named);
      await expect(shutBelow(folder, warn)).rejects.toThrow(named);
      expect(await modeOf(join(folder, 'theirs'))).toBe('755');
    },
  );
});

describe('a token', () => {
  it('is made once, of 32 random bytes, in a file that only its user can read', async () => {
    const file = join(folder, 'state/token');
    const token = await keptToken(file, warn);
    expect(token).toMatch(/^[\w-]{43}$/);
    expect(await readFile(file, 'utf8')).toBe(`${token}\n`);
    expect([await modeOf(join(folder, 'state')), await modeOf(file)]).toEqual(['700', '600']);
    expect(await keptToken(file, warn)).toBe(token);
    expect(await keptToken(join(folder, 'other'), warn)).not.toBe(token);
  });

  it('is the same for all that start at once', async () => {
    const file = join(folder, 'token');
    const tokens = await Promise.all(Array.from({ length: 20 }, () => keptToken(file, warn)));
    expect(new Set(tokens).size).toBe(1);
  });

  it.each([
    ['open to others', async (file: string) => chmod(file, 0o640), 'is open to other users (640)'],
    ['empty', async (file: string) => writeFile(file, ''), 'holds no token'],
    ['short', async (file: string) => writeFile(file, 'guess-me\n'), 'holds no token'],
  ])('in a file that is %s is none, and the message names the file', async (_what, spoil, said) => {
    const file = join(folder, 'token');
    await keptToken(file, warn);
    await spoil(file);
    for (const read of [keptToken, readToken])
      await expect(read(file, warn)).rejects.toMatchObject({
        name: 'NotPrivateError',
        message: expect.stringMatching(new RegExp(`^${file} ${said.replaceAll(/[()]/g, '\\$&')}`)),
      });
  });

  it('is not read through a link, nor from what is no file', async () => {
    await keptToken(join(folder, 'real'), warn);
    await symlink(join(folder, 'real'), join(folder, 'link'));
    await symlink(join(folder, 'nowhere'), join(folder, 'dangling'));
    for (const name of ['link', 'dangling'])
      await expect(keptToken(join(folder, name), warn)).rejects.toThrow('is a symbolic link');
    await mkdir(join(folder, 'folder'), { mode: 0o700 });
    await expect(readToken(join(folder, 'folder'))).rejects.toThrow('is no file');
  });

  it.skipIf(!isRoot)("is not taken from another user's file", async () => {
    const file = join(folder, 'token');
    await keptToken(file, warn);
    await chown(file, OTHER_USER, OTHER_USER);
    await expect(keptToken(file, warn)).rejects.toThrow(`belongs to another user (number ${OTHER_USER})`);
  });

  it('is written in place of another, whole and without what was there for others to read', async () => {
    const file = join(folder, 'place');
    await writeFile(file, 'old', { mode: 0o644 });
    await writePrivateFile(file, 'new');
    expect([await readFile(file, 'utf8'), await modeOf(file)]).toEqual(['new', '600']);
  });

  it('is told from everything else', () => {
    const isToken = takes('one-token', 'another-token');
    expect(['one-token', 'another-token'].map(isToken)).toEqual([true, true]);
    expect(['', 'one', 'one-token ', 'ONE-TOKEN', null, undefined].map(isToken)).not.toContain(true);
    expect(takes()('')).toBe(false);
  });
});
