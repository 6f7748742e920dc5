import { readFile, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  createChildVhd,
  createDynamicVhd,
  openVhd,
  physicalBytes,
  setHidden,
} from '../../../local/vhd/vhd.ts';
import { readChain } from '../../support/vhd-reader.ts';
import { pattern, temporaryFolder, write } from './modelled-chain.ts';

const MEBIBYTE = 2 ** 20;
const UUID = '01234567-89ab-4cde-8f01-23456789abcd';
const createdAt = new Date('2026-03-01T12:34:56Z');

describe('a new dynamic disk', () => {
  it('is what vhd-util makes: cookies, creator, sizes, geometry, time', async () => {
    await using dir = await temporaryFolder();
    const path = join(dir.path, 'disk.vhd');
    await createDynamicVhd(path, { uuid: UUID, virtualBytes: 64 * MEBIBYTE, createdAt });
    const bytes = await readFile(path);
    expect(bytes.toString('latin1', 0, 8)).toBe('conectix');
    expect(bytes.toString('latin1', 28, 32)).toBe('tap\0');
    expect(bytes.readUInt32BE(24)).toBe((createdAt.getTime() - Date.UTC(2000, 0, 1)) / 1000);
    // 963 cylinders, 8 heads, 17 sectors: the specification's algorithm for 64 MiB.
    expect(bytes.subarray(56, 60)).toEqual(Buffer.from([0x03, 0xc3, 8, 17]));
    expect(bytes.toString('latin1', 512, 520)).toBe('cxsparse');
    expect(bytes.readUInt32BE(512 + 28)).toBe(32);
    expect(bytes.subarray(-512)).toEqual(bytes.subarray(0, 512));
    expect((await readChain([path])).layers[0]).toMatchObject({
      uuid: UUID,
      type: 'dynamic',
      hidden: false,
      createdAt,
    });
  });

  it('never claims to come from the future', async () => {
    await using dir = await temporaryFolder();
    const path = join(dir.path, 'disk.vhd');
    await createDynamicVhd(path, {
      uuid: UUID,
      virtualBytes: MEBIBYTE,
      createdAt: new Date(Date.now() + 86_400_000),
    });
    const [layer] = (await readChain([path])).layers;
    expect(layer?.createdAt.getTime()).toBeLessThanOrEqual(Date.now());
  });

  it('may have 2040 GiB, all usable, and no more', async () => {
    await using dir = await temporaryFolder();
    const path = join(dir.path, 'disk.vhd');
    const virtualBytes = 2040 * 1024 * MEBIBYTE;
    await createDynamicVhd(path, { uuid: UUID, virtualBytes, createdAt });
    await write(path, [{ sector: virtualBytes / 512 - 1, data: pattern(1, 1) }]);
    expect(await (await readChain([path])).read(virtualBytes - 512, 512)).toEqual(pattern(1, 1));
    await expect(
      createDynamicVhd(join(dir.path, 'b.vhd'), { uuid: UUID, virtualBytes: virtualBytes + 512, createdAt }),
    ).rejects.toThrow('cannot have');
  });

  it('is not written over a file that is there', async () => {
    await using dir = await temporaryFolder();
    const path = join(dir.path, 'disk.vhd');
    await createDynamicVhd(path, { uuid: UUID, virtualBytes: MEBIBYTE, createdAt });
    await expect(createDynamicVhd(path, { uuid: UUID, virtualBytes: MEBIBYTE, createdAt })).rejects.toThrow(
      'EEXIST',
    );
  });
});

describe('an empty child', () => {
  it('knows its parent by UUID, name, time and locators, and has its size', async () => {
    await using dir = await temporaryFolder();
    const [path, parentPath] = await childOfADisk(dir.path);
    const { layers } = await readChain([path, parentPath]);
    expect(layers[0]).toMatchObject({
      type: 'differencing',
      virtualBytes: 5 * MEBIBYTE,
      parentUuid: UUID,
      parentName: 'parent.vhd',
      locators: { MacX: 'file://./parent.vhd', W2ku: '.\\parent.vhd', W2ru: '.\\parent.vhd' },
    });
    const bytes = await readFile(path);
    const { mtimeMs } = await stat(parentPath);
    expect(bytes.readUInt32BE(512 + 56)).toBe(Math.floor(mtimeMs / 1000) - Date.UTC(2000, 0, 1) / 1000);
  });

  it('says of itself, when opened, what the pool needs to know', async () => {
    await using dir = await temporaryFolder();
    const [path, parentPath] = await childOfADisk(dir.path);
    await using stack = new AsyncDisposableStack();
    const child = stack.adopt(await openVhd(path), (vhd) => vhd.close());
    const parent = stack.adopt(await openVhd(parentPath), (vhd) => vhd.close());
    expect(child).toMatchObject({ type: 'differencing', parentUuid: UUID, parentName: 'parent.vhd' });
    expect(parent).toMatchObject({ type: 'dynamic', parentUuid: null, parentName: null, uuid: UUID });
  });
});

describe('the size on disk', () => {
  it.each([1, 3])('is what Nova computes from the BAT with %i blocks held', async (blocks) => {
    await using dir = await temporaryFolder();
    const path = join(dir.path, 'disk.vhd');
    await createDynamicVhd(path, { uuid: UUID, virtualBytes: 300 * MEBIBYTE, createdAt });
    await write(
      path,
      Array.from({ length: blocks }, (_, i) => ({ sector: (7 - 2 * i) * 4096 + 5, data: pattern(i, 1) })),
    );
    const dataOffset = Math.ceil((1536 + 4 * 150) / 512) * 512;
    expect(await physicalBytes(path)).toBe(dataOffset + (512 + 2 * MEBIBYTE) * blocks + 512);
  });

  it('does not grow by zeros in a dynamic disk, but by zeros that hide a parent’s data', async () => {
    await using dir = await temporaryFolder();
    const [path, parentPath] = await childOfADisk(dir.path);
    const before = [await physicalBytes(path), await physicalBytes(parentPath)];
    const zeros = [{ sector: 0, data: Buffer.alloc(4096) }];
    await write(parentPath, zeros);
    await write(path, zeros);
    const after = [await physicalBytes(path), await physicalBytes(parentPath)];
    expect(after).toEqual([(before[0] ?? 0) + 512 + 2 * MEBIBYTE, before[1]]);
  });
});

describe('reading and writing', () => {
  it('tells sectors that the file holds from those that it does not', async () => {
    await using dir = await temporaryFolder();
    const [path] = await childOfADisk(dir.path);
    await write(path, [{ sector: 4095, data: pattern(1, 2) }]);
    const vhd = await openVhd(path);
    const { data, present } = await vhd.readSectors(4094, 4);
    await vhd.close();
    expect(present).toEqual([false, true, true, false]);
    expect(data).toEqual(Buffer.concat([Buffer.alloc(512), pattern(1, 2), Buffer.alloc(512)]));
  });

  it('keeps writes apart that were not waited for', async () => {
    await using dir = await temporaryFolder();
    const [path, parentPath] = await childOfADisk(dir.path);
    const vhd = await openVhd(path);
    const writes = [0, 4096, 8192, 1, 4097].map((sector) => vhd.writeSectors(sector, pattern(sector, 1)));
    await vhd.close();
    await Promise.all(writes);
    const chain = await readChain([path, parentPath]);
    expect(await chain.read(4096 * 512, 1024)).toEqual(Buffer.concat([pattern(4096, 1), pattern(4097, 1)]));
  });

  it('refuses a part of a sector and what lies beyond the end', async () => {
    await using dir = await temporaryFolder();
    const [path] = await childOfADisk(dir.path);
    const vhd = await openVhd(path);
    await expect(vhd.writeSectors(0, Buffer.alloc(100))).rejects.toThrow('not within the disk');
    await expect(vhd.writeSectors(10239, Buffer.alloc(1024))).rejects.toThrow('not within the disk');
    await expect(vhd.readSectors(-1, 1)).rejects.toThrow('not within the disk');
    await vhd.close();
  });
});

describe('the hidden flag', () => {
  it('stands in both footers, under a right checksum, and can be taken back', async () => {
    await using dir = await temporaryFolder();
    const [path, parentPath] = await childOfADisk(dir.path);
    await setHidden(parentPath, true);
    expect((await readChain([path, parentPath])).layers.map(({ hidden }) => hidden)).toEqual([false, true]);
    await setHidden(parentPath, false);
    expect((await readChain([parentPath])).layers[0]?.hidden).toBe(false);
  });

  it('survives a block that someone appends who had opened the file before', async () => {
    await using dir = await temporaryFolder();
    const [, path] = await childOfADisk(dir.path);
    const vhd = await openVhd(path);
    await setHidden(path, true);
    await vhd.writeSectors(0, pattern(1, 1));
    await vhd.close();
    expect((await readChain([path])).layers[0]?.hidden).toBe(true);
  });
});

describe('a damaged file', () => {
  it('is opened by the copy of its footer when its end was cut off', async () => {
    await using dir = await temporaryFolder();
    const [, path] = await childOfADisk(dir.path);
    await truncate(path, (await physicalBytes(path)) - 100);
    const vhd = await openVhd(path);
    await vhd.close();
    expect(vhd.uuid).toBe(UUID);
  });

  it('gets a whole end again with the next block that is written', async () => {
    await using dir = await temporaryFolder();
    const [, path] = await childOfADisk(dir.path);
    await truncate(path, (await physicalBytes(path)) - 100);
    await write(path, [{ sector: 9, data: pattern(1, 1) }]);
    expect(await (await readChain([path])).read(9 * 512, 512)).toEqual(pattern(1, 1));
  });

  it('is refused by its name', async () => {
    await using dir = await temporaryFolder();
    const [path] = await childOfADisk(dir.path);
    await truncate(path, 700);
    await expect(openVhd(path)).rejects.toThrow(`${path}: The VHD file ends at 700`);
  });
});

async function childOfADisk(dir: string): Promise<[child: string, parent: string]> {
  const parentPath = join(dir, 'parent.vhd');
  await createDynamicVhd(parentPath, { uuid: UUID, virtualBytes: 5 * MEBIBYTE, createdAt });
  const path = join(dir, 'child.vhd');
  await createChildVhd(path, { uuid: crypto.randomUUID(), parentPath, createdAt });
  return [path, parentPath];
}
