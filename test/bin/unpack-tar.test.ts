import { execFile } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { unpack } from '../../bin/unpack/unpack.ts';
import { temporaryFolder } from '../local/vhd/modelled-chain.ts';
import { buildVhd } from '../vhds/build.ts';
import { bundleFolder, packed } from './bundle-folder.ts';
import { startXensnap, xensnap } from './command-line.ts';

const run = promisify(execFile);

/** Files of a chain of three, called as `names` say, and what `tar` makes of them by these arguments. */
async function image(dir: string, names: readonly string[], ...tar: string[]) {
  const { folder, rawPath } = await bundleFolder(dir);
  for (const [i, name] of names.entries()) await rename(join(folder, `${i}.vhd`), join(folder, name));
  const path = join(dir, 'image.tgz');
  const members = tar.length > 0 ? tar : [...names];
  await run('tar', ['-zcf', path, '-C', folder, ...members]);
  return { path, rawPath, folder };
}

async function expectDisk(path: string, rawPath: string): Promise<string[]> {
  const disk = `${path}.raw`;
  const to = await open(disk, 'w');
  const again = () => createReadStream(path);
  const { layers } = await unpack(again(), { to, again }).finally(() => to.close());
  expect((await readFile(disk)).equals(await readFile(rawPath))).toBe(true);
  return layers.map(({ name }) => name);
}

const uuids = ['5f1c', '0a2b', 'c3d4'].map((hex) => `${hex}0000-1111-4222-8333-444444444444.vhd`);
const NUMBERS = ['0.vhd', '1.vhd', '2.vhd'];

describe('unpack reads what OpenStack has written:', () => {
  it.each<[string, string[], string[]]>([
    ['the folder itself, as Nova packs it', NUMBERS, ['.']],
    ['the oldest names, snap on image on base', ['snap.vhd', 'image.vhd', 'base.vhd'], []],
    ['UUIDs as names', uuids, []],
    ['the base first', NUMBERS, ['2.vhd', '1.vhd', '0.vhd']],
    ['the leaf between the others', NUMBERS, ['1.vhd', '0.vhd', '2.vhd']],
    ['the leaf first, and then the base', NUMBERS, ['0.vhd', '2.vhd', '1.vhd']],
    ['v7', NUMBERS, ['--format=v7', ...NUMBERS]],
    ['ustar', NUMBERS, ['--format=ustar', './0.vhd', './1.vhd', './2.vhd']],
    ['pax', NUMBERS, ['--format=pax', '.']],
    ['pax with a global header', NUMBERS, ['--format=pax', '--pax-option=globexthdr.name=g,comment=x', '.']],
    ['GNU’s, with long names', ['s', 'i', 'b'].map((c) => `${c.repeat(150)}.vhd`), ['--format=gnu', '.']],
    [
      'ustar, with a name in two parts',
      NUMBERS,
      ['--format=ustar', `--transform=s,^,${'./'.repeat(60)},`, ...NUMBERS],
    ],
  ])('%s', async (_, names, tar) => {
    await using dir = await temporaryFolder();
    const { path, rawPath } = await image(dir.path, names, ...tar);
    expect(await expectDisk(path, rawPath)).toEqual(names);
  });

  it('Python’s tars of one VHD, in each of its formats', async () => {
    await using dir = await temporaryFolder();
    const { folder, rawPath } = await bundleFolder(dir.path, [[]]);
    for (const format of ['USTAR', 'GNU', 'PAX']) {
      const path = join(dir.path, `${format}.tgz`);
      const code = `with tarfile.open('${path}', 'w:gz', format=tarfile.${format}_FORMAT) as tar: tar.add('0.vhd')`;
      await run('python3', ['-c', `import tarfile\n${code}`], { cwd: folder });
      await expectDisk(path, rawPath);
    }
  });

  it('a swap disk beside, which it passes over and says so', async () => {
    await using dir = await temporaryFolder();
    const { folder, rawPath } = await image(dir.path, NUMBERS);
    for (const name of ['swap.vhd', 'vm.json']) await writeFile(join(folder, name), 'no VHD');
    const path = await packed(folder, ['vm.json', '0.vhd', 'swap.vhd', '1.vhd', '2.vhd']);
    await expectDisk(path, rawPath);
    const { stdout } = await xensnap(['unpack', path]);
    expect(stdout).toContain('Ignored vm.json, swap.vhd\n');
  });
});

describe('VHDs that do not come leaf first', () => {
  it('are refused from standard input, with what to do, and checked there where no disk is asked for', async () => {
    await using dir = await temporaryFolder();
    const { path } = await image(dir.path, NUMBERS, '2.vhd', '1.vhd', '0.vhd');
    const ended = async (args: string[]) => {
      const running = startXensnap(['unpack', '-', ...args]);
      running.stdin.end(await readFile(path));
      return running.ended;
    };
    expect(await ended(['--to', join(dir.path, 'disk.raw')])).toMatchObject({
      status: 1,
      stderr:
        'xensnap: standard input: its VHDs do not come leaf first (2.vhd, 1.vhd, 0.vhd): save it in a file, and unpack that\n',
    });
    expect(await ended([])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/VHDs +0\.vhd .*, 1\.vhd .*, 2\.vhd/),
    });
  });

  it('are refused when the file is another in the next pass', async () => {
    await using dir = await temporaryFolder();
    const { path } = await image(dir.path, NUMBERS, '2.vhd', '1.vhd', '0.vhd');
    const data = await readFile(path);
    const other = join(dir.path, 'other.tgz');
    await writeFile(other, gzipSync(gunzipSync(data), { level: 1 }));
    await using to = await open(join(dir.path, 'disk.raw'), 'w');
    const found = unpack(createReadStream(path), { to, again: () => createReadStream(other) });
    await expect(found).rejects.toThrow('it changed while it was read');
  });
});

describe('unpack refuses by name', () => {
  it.each<[string, RegExp, (folder: string) => Promise<unknown>, string[]]>([
    [
      'a symbolic link',
      /"1\.vhd" is a symbolic link/,
      (f) => run('ln', ['-sf', '/etc/passwd', join(f, '1.vhd')]),
      NUMBERS,
    ],
    [
      'a hard link',
      /"3\.vhd" is a hard link/,
      (f) => run('ln', [join(f, '0.vhd'), join(f, '3.vhd')]),
      ['0.vhd', '3.vhd'],
    ],
    ['a pipe', /"3\.vhd" is a pipe/, (f) => run('mkfifo', [join(f, '3.vhd')]), [...NUMBERS, '3.vhd']],
    ['a folder', /"more\/" is a folder/, (f) => mkdir(join(f, 'more')), ['0.vhd', 'more']],
    [
      'a file in a folder',
      /"more\/0\.vhd" is in a folder/,
      async () => {},
      ['--transform=s,^,more/,', '0.vhd'],
    ],
    [
      'an absolute name',
      /"\/0\.vhd" leads out of the tar/,
      async () => {},
      ['-P', '--transform=s,^,/,', '0.vhd'],
    ],
    [
      'a name that leads up',
      /"\.\.\/0\.vhd" leads out/,
      async () => {},
      ['-P', '--transform=s,^,../,', '0.vhd'],
    ],
    [
      'a sparse file',
      /sparse/,
      (f) => run('truncate', ['-s', '8M', join(f, '3.vhd')]),
      ['--sparse', '0.vhd', '3.vhd'],
    ],
    [
      'a sparse file in pax',
      /sparse/,
      (f) => run('truncate', ['-s', '8M', join(f, '3.vhd')]),
      ['--sparse', '--format=pax', '0.vhd', '3.vhd'],
    ],
    [
      'another disk beside',
      /0\.vhd and x\.vhd are two disks/,
      (f) => writeFile(join(f, 'x.vhd'), buildVhd({ id: 9, virtualBytes: 2 ** 21 }).bytes),
      [...NUMBERS, 'x.vhd'],
    ],
  ])('%s', async (_, says, prepare, tar) => {
    await using dir = await temporaryFolder();
    const { folder } = await bundleFolder(dir.path);
    await prepare(folder);
    const found = unpack(createReadStream(await packed(folder, tar)));
    await expect(found).rejects.toMatchObject({ name: 'ImageDamaged', message: expect.stringMatching(says) });
  });

  /** Writes into the first header, and mends its checksum. */
  const patched = (at: number, bytes: string) => (tar: Buffer) => {
    tar.write(bytes, at, 'latin1');
    tar.write('        ', 148, 'latin1');
    const sum = tar.subarray(0, 512).reduce((total, byte) => total + byte, 0);
    tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    return tar;
  };
  const pax = (record: string) => (tar: Buffer) => {
    const header = Buffer.alloc(1024);
    header.write('x', 156);
    header.write(record, 512);
    header.write(record.length.toString(8).padStart(11, '0'), 124);
    return Buffer.concat([patched(0, 'pax')(header), tar]);
  };

  it.each<[string, RegExp, (tar: Buffer) => Buffer]>([
    [
      'a size that is no number',
      /a size in the tar, "12x", is no octal number/,
      patched(124, '12x\0\0\0\0\0\0\0\0\0'),
    ],
    ['a negative size', /a size in the tar is negative/, patched(124, '\xff'.repeat(12))],
    ['a size of 2⁶³', /a size in the tar is far too large/, patched(124, '\x80\0\0\0\x80\0\0\0\0\0\0\0')],
    [
      'a size with a bit above the 88th',
      /negative or far too large/,
      patched(124, '\xc0\0\0\0\0\0\0\0\0\0\0\x01'),
    ],
    ['a checksum that is no number', /a header has a wrong checksum/, (tar) => tar.fill('x', 148, 156)],
    ['a size in pax that is no number', /a size in a pax header, "-1", is no number/, pax('11 size=-1\n')],
    ['a size in pax that is too large', /far too large/, pax('26 size=99999999999999999\n')],
    ['a pax record that is too long', /damaged pax header/, pax('99 size=1\n')],
    ['a pax record without a length', /damaged pax header/, pax('size=1\n')],
    [
      'a pax header that is too large',
      /a header that is far too large/,
      (tar) => patched(124, '00010000001\0')(pax('')(tar)),
    ],
    ['a name that is too long', /name in the tar is far too long/, pax(`311 path=${'x'.repeat(301)}\n`)],
    ['a size in pax that is not the file’s', /0\.vhd: its header is not in it/, pax('12 size=512\n')],
  ])('%s', async (_, says, change) => {
    await using dir = await temporaryFolder();
    const { folder, names } = await bundleFolder(dir.path);
    const path = await packed(folder, names);
    await writeFile(path, gzipSync(change(gunzipSync(await readFile(path)))));
    await expect(unpack(createReadStream(path))).rejects.toMatchObject({
      name: 'ImageDamaged',
      message: expect.stringMatching(says),
    });
  });
});

it('shows no escape sequence that stands in a name, whether it takes the image or not', async () => {
  await using dir = await temporaryFolder();
  const { folder, names } = await bundleFolder(dir.path, [[]]);
  await rename(join(folder, names[0] ?? ''), join(folder, 'a\u001b[2Jb.vhd'));
  const taken = await xensnap(['unpack', await packed(folder, ['a\u001b[2Jb.vhd'])]);
  expect(taken).toMatchObject({ status: 0, stdout: expect.stringContaining('a?[2Jb.vhd') });
  expect(taken.stdout).not.toContain('\u001b');
  await writeFile(join(folder, 'c\u001b[2Jd.vhd'), '');
  const refused = await xensnap(['unpack', await packed(folder, ['c\u001b[2Jd.vhd'])]);
  expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('c?[2Jd.vhd') });
  expect(refused.stderr).not.toContain('\u001b');
});

describe('zeros behind the end of the tar', () => {
  const behind = async (dir: string, zeros: number) => {
    const { folder, names } = await bundleFolder(dir, [[]]);
    const path = await packed(folder, names);
    const tar = gunzipSync(await readFile(path));
    await writeFile(path, gzipSync(Buffer.concat([tar, Buffer.alloc(zeros)]), { level: 1 }));
    return path;
  };

  it('take hardly longer than gunzip', async () => {
    await using dir = await temporaryFolder();
    const path = await behind(dir.path, 200 * 2 ** 20);
    const plain = process.cpuUsage();
    gunzipSync(await readFile(path));
    const { user: gunzip } = process.cpuUsage(plain);
    const before = process.cpuUsage();
    await unpack(createReadStream(path));
    const { user } = process.cpuUsage(before);
    expect(user - gunzip).toBeLessThan(1_000_000);
  });

  it('have an end', async () => {
    await using dir = await temporaryFolder();
    const found = unpack(createReadStream(await behind(dir.path, 257 * 2 ** 20)));
    await expect(found).rejects.toThrow('far too many zeros follow the end of the tar');
  });
});
