import { randomUUID } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { chmod, link, lstat, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** A file or folder that others could read or change. The message names it, and the fix. */
export class NotPrivateError extends Error {
  override readonly name = 'NotPrivateError';
}

/** Told of what had to be mended, in a sentence. */
export type Warn = (message: string) => void;

/** What everybody but the owner may do. */
const OTHERS = 0o077;
const isOpen = ({ mode }: Pick<Stats, 'mode'>): boolean => (mode & OTHERS) !== 0;

/**
 * Makes a folder that only this user can enter, or makes one such that is there already.
 * @throws NotPrivateError when it is another user's, or its file system keeps no permissions
 */
export async function privateFolder(path: string, warn: Warn): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  if (!(await shut(path, await stat(path)))) return;
  if (isOpen(await stat(path)))
    throw new NotPrivateError(`${path} stays open to other users: its file system keeps no permissions`);
  warn(`${path} was open to other users of this machine; now it is not`);
}

/**
 * Takes from everybody else what they may do with files and folders below one that is private. Links are left alone.
 * @throws NotPrivateError when something there is another user's
 */
export async function shutBelow(folder: string, warn: Warn): Promise<void> {
  const shutOne = async (path: string): Promise<number> => {
    const found = await lstat(path);
    if (found.isSymbolicLink()) return 0;
    const count = (await shut(path, found)) ? 1 : 0;
    // Written only now, since nobody else can put anything in its place any more.
    return found.isDirectory() ? count + (await shutAll(path)) : count;
  };
  const shutAll = async (path: string): Promise<number> => {
    let count = 0;
    for (const name of await readdir(path)) count += await shutOne(join(path, name));
    return count;
  };
  const count = await shutAll(folder);
  if (count > 0) warn(`${count} files and folders in ${folder} were open to other users; now they are not`);
}

/** Whether it was open. */
async function shut(path: string, found: Stats): Promise<boolean> {
  requireOwn(path, found);
  if (!isOpen(found)) return false;
  await chmod(path, found.mode & 0o7700);
  return true;
}

function requireOwn(path: string, { uid }: Stats): void {
  if (uid === process.getuid?.()) return;
  throw new NotPrivateError(
    `${path} belongs to another user (number ${uid}): name a folder of your own, or have it given to you (chown)`,
  );
}

/**
 * The text of a small file that nobody else can read or have written; undefined when there is none.
 * @throws NotPrivateError when it is a link, another user's, or open to others
 */
export async function readPrivateFile(path: string): Promise<string | undefined> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  const file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch((error) => {
    if (error.code === 'ENOENT') return undefined;
    if (error.code !== 'ELOOP') throw error;
    throw new NotPrivateError(`${path} is a symbolic link, which is not followed: put the file itself there`);
  });
  if (!file) return undefined;
  try {
    // The open file is looked at, since the name may mean another one by now.
    const found = await file.stat();
    if (!found.isFile()) throw new NotPrivateError(`${path} is no file`);
    requireOwn(path, found);
    if (isOpen(found))
      throw new NotPrivateError(
        `${path} is open to other users (${(found.mode & 0o777).toString(8)}), who may know what it says: remove it`,
      );
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

/** Writes a file that only this user can read, whole or not at all, in place of what was there. */
export function writePrivateFile(path: string, text: string): Promise<void> {
  return written(path, text, (whole) => rename(whole, path));
}

/** Writes the file only if there is none yet. */
export function keepPrivateFile(path: string, text: string): Promise<void> {
  return written(path, text, (whole) =>
    link(whole, path).catch((error) => {
      if (error.code !== 'EEXIST') throw error;
    }),
  );
}

async function written(path: string, text: string, put: (whole: string) => Promise<void>): Promise<void> {
  const whole = `${path}.${randomUUID()}`;
  try {
    const file = await open(whole, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await put(whole);
  } finally {
    await rm(whole, { force: true });
  }
}
