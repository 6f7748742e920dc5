import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { unpack } from '../../bin/unpack/unpack.ts';
import { anyWrite } from '../local/vhd/any-write.ts';
import { temporaryFolder } from '../local/vhd/modelled-chain.ts';
import { bundleFolder, packed, VIRTUAL_BYTES } from './bundle-folder.ts';
import { type Ended, startXensnap, xensnap } from './command-line.ts';

describe('an image that is whole', () => {
  it('becomes the disk of the snapshot, flattened, with holes where it is zero', async () => {
    await using dir = await temporaryFolder();
    const { folder, rawPath, names } = await bundleFolder(dir.path);
    const [image, disk] = [await packed(folder, names), join(dir.path, 'disk.raw')];
    const { status, stdout } = await xensnap(['unpack', image, '--to', disk, '--json']);
    expect(status).toBe(0);
    const data = await readFile(image);
    expect(JSON.parse(stdout)).toMatchObject({
      bytes: data.length,
      sha512: createHash('sha512').update(data).digest('hex'),
      virtualBytes: VIRTUAL_BYTES,
      layers: names.map((name) => ({ name })),
    });
    expect((await readFile(disk)).equals(await readFile(rawPath))).toBe(true);
    expect((await stat(disk)).blocks * 512).toBeLessThan(VIRTUAL_BYTES / 2);
  });

  it('is only read where no disk is asked for, from standard input too', async () => {
    await using dir = await temporaryFolder();
    const { folder, names } = await bundleFolder(dir.path);
    const image = await packed(folder, names);
    const running = startXensnap(['unpack', '-']);
    running.stdin.end(await readFile(image));
    const { stdout } = await running.ended;
    expect(stdout).toContain('Data    ');
    expect(stdout).toContain('Disk    6.0 MiB\n');
    expect(await readdir(dir.path)).not.toContain('disk.raw');
  });

  it('gives the model’s disk whatever was written into its layers', async () => {
    const sectors = 2 * 4096 + 77;
    const someLayers = fc.array(fc.array(anyWrite(sectors), { maxLength: 5 }), {
      minLength: 1,
      maxLength: 4,
    });
    await fc.assert(
      fc.asyncProperty(someLayers, async (writes) => {
        await using dir = await temporaryFolder();
        const { folder, rawPath, names } = await bundleFolder(dir.path, writes, sectors * 512);
        const disk = await open(join(dir.path, 'disk.raw'), 'w+');
        await unpack(createReadStream(await packed(folder, names)), { to: disk });
        await disk.close();
        expect((await readFile(join(dir.path, 'disk.raw'))).equals(await readFile(rawPath))).toBe(true);
      }),
      { numRuns: 20 },
    );
  });
});

describe('the file that it writes', () => {
  const refusal = ({ status, stderr }: Ended) => ({ status, stderr });

  it('is not made where there is nothing to read, and the command says what to do', async () => {
    await using dir = await temporaryFolder();
    const disk = join(dir.path, 'disk.raw');
    for (const [image, why] of [
      [
        join(dir.path, 'none'),
        'there is no such file; "openstack image save --file FILE IMAGE" fetches the data of an image',
      ],
      [dir.path, 'it is a folder'],
    ])
      expect(refusal(await xensnap(['unpack', image ?? '', '--to', disk]))).toEqual({
        status: 1,
        stderr: `xensnap: cannot read ${image}: ${why}\n`,
      });
    expect(await readdir(dir.path)).toEqual([]);
  });

  it('is never one that is there already', async () => {
    await using dir = await temporaryFolder();
    const { folder, names } = await bundleFolder(dir.path);
    const [image, disk] = [await packed(folder, names), join(dir.path, 'disk.raw')];
    await writeFile(disk, 'mine');
    expect(refusal(await xensnap(['unpack', image, '--to', disk]))).toEqual({
      status: 1,
      stderr: `xensnap: ${disk} is there already: name another file, or remove it\n`,
    });
    expect(await readFile(disk, 'utf8')).toBe('mine');
  });

  it('is gone when the command is interrupted', async () => {
    await using dir = await temporaryFolder();
    const { folder, names } = await bundleFolder(dir.path);
    const image = await packed(folder, names);
    const before = await readdir(dir.path);
    const running = startXensnap(['unpack', '-', '--to', join(dir.path, 'disk.raw')]);
    // Half of the image, and then nothing for as long as one likes.
    running.stdin.write((await readFile(image)).subarray(0, 5000));
    while (!(await readdir(dir.path)).includes('disk.raw.part')) await new Promise(setImmediate);
    running.signal('SIGINT');
    expect(refusal(await running.ended)).toEqual({
      status: 130,
      stderr: 'xensnap: stopped; nothing was written\n',
    });
    expect(await readdir(dir.path)).toEqual(before);
  });

  it('is gone when the image proves damaged, and the message names the image', async () => {
    await using dir = await temporaryFolder();
    const { folder } = await bundleFolder(dir.path);
    const image = await packed(folder, ['0.vhd', '1.vhd']);
    const before = await readdir(dir.path);
    expect(refusal(await xensnap(['unpack', image, '--to', join(dir.path, 'disk.raw')]))).toEqual({
      status: 1,
      stderr: expect.stringMatching(/^xensnap: .*image\.tgz: the parent of 1\.vhd, .* is missing\n$/),
    });
    expect(await readdir(dir.path)).toEqual(before);
  });
});
