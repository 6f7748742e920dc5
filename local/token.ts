import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { dirname } from 'node:path';
import {
  keepPrivateFile,
  NotPrivateError,
  privateFolder,
  readPrivateFile,
  type Warn,
} from './private-files.ts';

/** A token that nobody can guess: 32 random bytes. */
export function newToken(): string {
  return randomBytes(32).toString('base64url');
}

/** What can stand in a header and is too long to be guessed. */
const USABLE = /^[\x21-\x7e]{32,}$/;

/**
 * The token in the first line of a file, which is made with a new one if it is not there. To have another token, remove
 * the file.
 * @throws NotPrivateError when others may know it, or it is none
 */
export async function keptToken(file: string, warn: Warn): Promise<string> {
  await privateFolder(dirname(file), warn);
  if ((await readPrivateFile(file)) === undefined) await keepPrivateFile(file, `${newToken()}\n`);
  const token = await readToken(file);
  if (token !== undefined) return token;
  throw new NotPrivateError(`${file} was removed while it was read: start again`);
}

/** The token in the first line of a file; undefined when it is not there. @throws as {@link keptToken} */
export async function readToken(file: string): Promise<string | undefined> {
  const text = await readPrivateFile(file);
  const [token = ''] = text?.split(/\r?\n/) ?? [];
  if (text === undefined || USABLE.test(token)) return text && token;
  throw new NotPrivateError(
    `${file} holds no token (32 characters or more, no spaces): remove it, and the service makes one at its start`,
  );
}

/** Tells whether a caller sent one of the tokens, in a time that tells nothing of them. */
export function takes(...tokens: readonly string[]): (sent: string | null | undefined) => boolean {
  const known = tokens.map(digest);
  return (sent) => {
    const given = digest(sent ?? '');
    // Every one of them, whichever fits.
    return known.filter((each) => timingSafeEqual(each, given)).length > 0;
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
