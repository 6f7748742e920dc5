import { execFileSync } from 'node:child_process';
import { mkdtemp, open, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DynamoDBClient, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { expect, it, onTestFinished } from 'vitest';
import { Level } from '../../../local/aws/guarded-level.ts';
import { LOCAL_AWS } from '../../../local/aws/in-process.ts';
import { startTable } from '../../../local/aws/table.ts';

const TableName = 'xensnap';
const definition = {
  AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' as const }],
  KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' as const }],
};

async function aFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

async function aTable(dataDir: string) {
  const told: string[] = [];
  const table = await startTable({
    tableName: TableName,
    definition,
    dataDir,
    tell: (line) => told.push(line),
  });
  const client = new DynamoDBClient({ endpoint: table.endpoint, ...LOCAL_AWS, maxAttempts: 1 });
  let open = true;
  const stop = async () => {
    if (open) await table.close();
    open = false;
  };
  onTestFinished(stop);
  const put = (id: string, size = 100) =>
    client.send(new PutItemCommand({ TableName, Item: { id: { S: id }, text: { S: 'x'.repeat(size) } } }));
  const has = async (id: string) =>
    (await client.send(new GetItemCommand({ TableName, Key: { id: { S: id } }, ConsistentRead: true })))
      .Item !== undefined;
  return { told, put, has, stop };
}

/** A disk of a few MiB; undefined where this user may mount none. */
async function smallDisk(): Promise<string | undefined> {
  const folder = await aFolder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'xensnap-test', folder], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  onTestFinished(() => void execFileSync('umount', ['-l', folder]));
  return folder;
}

it('says that the disk is full, goes on when there is room again, and loses nothing that it acknowledged', async (context) => {
  const disk = await smallDisk();
  if (disk === undefined) return context.skip();
  const table = await aTable(join(disk, 'table'));
  const ballast = join(disk, 'ballast');
  await writeFile(ballast, Buffer.alloc(1_500_000));
  const acknowledged: string[] = [];
  const fill = async () => {
    for (let n = 0; n < 2000; n++) {
      const id = `${acknowledged.length}`;
      await table.put(id, 5000);
      acknowledged.push(id);
    }
  };
  await expect(fill()).rejects.toMatchObject({
    name: 'InternalServerError',
    message: expect.stringMatching(/table can't be used: its disk is full: make room/),
  });
  // Every question, for as long as it is so.
  for (let n = 0; n < 5; n++)
    await expect(table.put(`refused ${n}`)).rejects.toMatchObject({ name: 'InternalServerError' });
  expect(table.told).toEqual([expect.stringMatching(/can't be used any more: its disk is full/)]);

  await rm(ballast);
  await table.put('again');
  acknowledged.push('again');
  expect(table.told.at(-1)).toMatch(/can be used again/);
  for (const id of acknowledged) expect(await table.has(id), id).toBe(true);
  await table.stop();
  const restarted = await aTable(join(disk, 'table'));
  for (const id of acknowledged) expect(await restarted.has(id), id).toBe(true);
});

it('says of a disk that is full at the start where it is, and what to do', async (context) => {
  const disk = await smallDisk();
  if (disk === undefined) return context.skip();
  await writeFile(join(disk, 'ballast'), Buffer.alloc(3 * 1024 * 1024 - 8192)).catch(() => {});
  await expect(aTable(join(disk, 'table'))).rejects.toMatchObject({
    name: 'DataFolderError',
    message: expect.stringMatching(new RegExp(`${disk}/table can't be used: its disk is full: make room`)),
  });
});

it.each(['put', 'get'] as const)(
  'answers a failure of the disk at any %s, and goes on after it',
  async (method) => {
    const table = await aTable(join(await aFolder(), 'table'));
    await table.put('before');
    // What is behind the method that is guarded.
    const prototype = Level.prototype as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
    const name = `_${method}`;
    const original = prototype[name] as (...args: unknown[]) => Promise<unknown>;
    let broken = true;
    prototype[name] = async function (this: unknown, ...args) {
      if (broken)
        throw Object.assign(new Error('IO error: 000005.log: No space left on device'), {
          code: 'LEVEL_IO_ERROR',
        });
      return original.apply(this, args);
    };
    onTestFinished(() => {
      prototype[name] = original;
    });
    for (let n = 0; n < 3; n++)
      await expect(table.put('during')).rejects.toMatchObject({
        name: 'InternalServerError',
        message: expect.stringContaining('disk is full'),
      });
    broken = false;
    await table.put('after');
    expect([await table.has('before'), await table.has('after')]).toEqual([true, true]);
  },
);

async function newest(folder: string, ending: RegExp): Promise<string> {
  const names = (await readdir(folder)).filter((name) => ending.test(name)).toSorted();
  return join(folder, names.at(-1) ?? '');
}

async function filled(entries: number): Promise<string> {
  const folder = join(await aFolder(), 'table');
  const table = await aTable(folder);
  for (let n = 0; n < entries; n++) await table.put(`${n}`, 1000);
  await table.stop();
  return folder;
}

it.each<[string, (folder: string) => Promise<unknown>]>([
  [
    'a log that is cut in half',
    async (folder) => {
      const log = await newest(folder, /\.log$/);
      await truncate(log, Math.floor((await stat(log)).size / 2));
    },
  ],
  ['a log that is gone', async (folder) => rm(await newest(folder, /\.log$/))],
  ['a log that is empty', async (folder) => truncate(await newest(folder, /\.log$/), 0)],
  ['a manifest that is cut in half', async (folder) => truncate(await newest(folder, /^MANIFEST/), 20)],
  ['a CURRENT that is gone', (folder) => rm(join(folder, 'CURRENT'))],
  ['a CURRENT that names nothing', (folder) => writeFile(join(folder, 'CURRENT'), 'MANIFEST-999999\n')],
  ['a CURRENT of rubbish', (folder) => writeFile(join(folder, 'CURRENT'), 'rubbish')],
  [
    'a manifest with other bytes',
    async (folder) => {
      const file = await open(await newest(folder, /^MANIFEST/), 'r+');
      await file.write(Buffer.alloc(16, 0xff), 0, 16, 0);
      await file.close();
    },
  ],
])('does not start on %s, and says where it is and what to do', async (_what, damage) => {
  const folder = await filled(20);
  await damage(folder);
  await expect(aTable(folder)).rejects.toMatchObject({
    name: 'DataFolderError',
    message: expect.stringMatching(
      new RegExp(`^The table in ${folder} is damaged: .+ Put a copy of the folder back`),
    ),
  });
});

it('starts after a kill at any time, and on logs that LevelDB has put away', async () => {
  const folder = await filled(20);
  for (let n = 0; n < 3; n++) {
    const table = await aTable(folder);
    // More than LevelDB keeps in one log.
    for (let each = 0; each < 20; each++) await table.put(`${n} ${each}`, 300_000);
    await table.stop();
  }
  const table = await aTable(folder);
  expect([await table.has('0'), await table.has('2 19')]).toEqual([true, true]);
});

it('says of a folder that another service uses that it does, and of a file in its place that it is one', async () => {
  const folder = join(await aFolder(), 'table');
  await aTable(folder);
  await expect(aTable(folder)).rejects.toMatchObject({ name: 'DataInUseError' });
  const file = join(await aFolder(), 'table');
  await writeFile(file, '');
  await expect(aTable(file)).rejects.toMatchObject({
    name: 'DataFolderError',
    message: expect.stringContaining(`${file} can't be used: there is a file in its place`),
  });
});
