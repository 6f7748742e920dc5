import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { damaged } from './damage.ts';

/** Marks are so far apart at most. */
const MARK_MS = 100;

/** What the table's log measured when something in it was last acknowledged. */
interface Mark {
  readonly log: string;
  readonly bytes: number;
}

/**
 * How far LevelDB's log was written, kept beside its folder. LevelDB takes a log that ends too early for one whose last
 * writes were never finished, and starts without them; by the mark it can be told that they were acknowledged.
 */
export interface HighWater {
  /** Notes that something was acknowledged. */
  acknowledged(): void;
  /** Writes what is still to be written. */
  close(): Promise<void>;
}

const markPath = (folder: string) => `${folder}.mark`;

/** @throws DataFolderError for a log that has lost what was acknowledged */
export async function checkHighWater(folder: string): Promise<void> {
  const mark = await readMark(folder);
  if (!mark) return;
  const advice = `If it was put back from an older copy on purpose, remove ${markPath(folder)}`;
  const size = await stat(join(folder, mark.log)).then(
    (found) => found.size,
    () => undefined,
  );
  if (size !== undefined) {
    if (size >= mark.bytes) return;
    throw damaged(
      folder,
      `${mark.log} has ${size} bytes of at least ${mark.bytes} that were written to it. ${advice}`,
    );
  }
  // A log whose content has gone into a table is replaced by one with a higher number.
  const newest = await newestLog(folder);
  if (newest === undefined || newest < mark.log) throw damaged(folder, `${mark.log} is gone. ${advice}`);
}

/** Keeps the mark up to date from now on. */
export function keepHighWater(folder: string): HighWater {
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();
  const write = () => {
    timer = undefined;
    // If the mark can't be written, on a full disk for example, the earlier one stays, which is still true.
    writing = writing.then(() => writeMark(folder)).catch(() => {});
  };
  return {
    acknowledged() {
      timer ??= setTimeout(write, MARK_MS).unref();
    },
    async close() {
      clearTimeout(timer);
      write();
      await writing;
    },
  };
}

async function writeMark(folder: string): Promise<void> {
  const log = await newestLog(folder);
  if (log === undefined) return;
  const { size: bytes } = await stat(join(folder, log));
  const mark: Mark = { log, bytes };
  // Overwritten in place and always of the same length, which takes no room.
  await writeFile(markPath(folder), `${JSON.stringify(mark).padEnd(99)}\n`, {
    mode: 0o600,
    flag: 'r+',
  }).catch(() => writeFile(markPath(folder), `${JSON.stringify(mark).padEnd(99)}\n`, { mode: 0o600 }));
}

async function readMark(folder: string): Promise<Mark | undefined> {
  try {
    return JSON.parse(await readFile(markPath(folder), 'utf8')) as Mark;
  } catch {
    // There is none yet, or a power failure took it: then nothing is known.
    return undefined;
  }
}

/** Their numbers have six digits. */
async function newestLog(folder: string): Promise<string | undefined> {
  const names = await readdir(folder);
  return names
    .filter((name) => /^\d{6,}\.log$/.test(name))
    .toSorted()
    .at(-1);
}
