import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import '../../../local/aws/guarded-level.ts';
import { randomOf } from '../../scale/random.ts';

interface Reader {
  next(): Promise<unknown>;
  close(): Promise<void>;
}

interface OpenDatabase {
  open(): Promise<void>;
  close(): Promise<void>;
  put(key: string, value: string): Promise<void>;
  get(key: string): Promise<string>;
  keys(): Reader;
}

const { Level } = createRequire(import.meta.resolve('dynalite'))('level') as {
  Level: new (location: string, options: object) => OpenDatabase;
};

const WRITES = 16_000;
/** Items that are written at a time, as jobs under way are, each so often. */
const AT_A_TIME = 16;
const TIMES = 40;
const READERS = 200;

it('reads every item as it was written last, although many read at the same time and files are merged', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-level-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const database = new Level(folder, { valueEncoding: 'utf8' });
  await database.open();
  const random = randomOf(11);
  const text = randomBytes(3_000_000).toString('base64');
  const anId = () => Math.floor(random() * 2 ** 32).toString(16);
  const ids = Array.from({ length: AT_A_TIME }, anId);
  const written = new Map<string, string>();
  const readers: Reader[] = [];
  const stale = new Set<string>();
  for (let n = 1; n <= WRITES; n += 1) {
    const place = Math.floor(random() * AT_A_TIME);
    const id = ids[place] ?? '';
    const at = Math.floor(random() * 3_900_000);
    const value = `${n} ${text.slice(at, at + 4000)}`;
    await database.put(id, value);
    written.set(id, value);
    if (random() < 1 / TIMES) ids[place] = anId();
    if (n % 50 === 0) {
      const reader = database.keys();
      await reader.next();
      readers.push(reader);
    }
    if (readers.length > READERS) await readers.shift()?.close();
    if (n % 1000 === 0)
      for (const [id, value] of written) if ((await database.get(id)) !== value) stale.add(id);
  }
  for (const reader of readers) await reader.close();
  await database.close();
  expect([...stale]).toEqual([]);
}, 120_000);
