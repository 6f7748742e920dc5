import { watchFile } from 'node:fs';
import { stat } from 'node:fs/promises';
import { warn } from './warn.ts';

/**
 * Reads a file, and gives what reads it anew whenever it is asked, so that a changed one counts at once. A file that is
 * gone, or that no longer holds what it should, is warned of once, without a word of what it holds; the last good
 * content counts then. What is no regular file, such as the pipe of a shell's `<(…)`, can be read but once.
 * @param read throws where the file does not hold what it should; its message names the file
 * @param settledMs how long a change must be past, where half of the content could not be told from the whole
 * @throws what `read` throws, the first time
 */
export async function liveFile<T>(
  path: string,
  read: (path: string) => Promise<T>,
  settledMs = 0,
): Promise<() => Promise<T>> {
  let good = await read(path);
  if (!(await stat(path)).isFile()) return async () => good;
  let told: string | undefined;
  return async () => {
    try {
      const changedMs = Date.now() - (await stat(path)).mtimeMs;
      if (Math.abs(changedMs) < settledMs) return good;
      good = await read(path);
      told = undefined;
    } catch (error) {
      const { message } = error as Error;
      if (message !== told) warn(`${message}; what it held before is used until that is mended`);
      told = message;
    }
    return good;
  };
}

/** How often a watched file is looked at. */
const WATCH_MS = 2000;

/** A {@link liveFile} for callers that cannot wait: it gives at once what the file held when it was last read. */
export async function watchedFile<T>(path: string, read: (path: string) => Promise<T>): Promise<() => T> {
  const tell = await liveFile(path, read);
  let last = await tell();
  watchFile(path, { persistent: false, interval: WATCH_MS }, async () => {
    last = await tell();
  });
  return () => last;
}
