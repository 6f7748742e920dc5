import { readFile } from 'node:fs/promises';
import { parseAuthority } from '../http/trust.ts';
import { CommandFailure } from './failures.ts';

/** @throws CommandFailure when the file cannot be read */
export async function readTextFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new CommandFailure(`cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
}

/** The first line of a file that holds a secret. @throws CommandFailure when it cannot be read or is empty */
export async function readSecretFile(path: string): Promise<string> {
  const [secret = ''] = (await readTextFile(path)).split(/\r?\n/);
  if (secret === '') throw new CommandFailure(`${path} is empty`);
  return secret;
}

/** A file with certificates of authorities. @throws CommandFailure when it cannot be read or holds none */
export async function readCertificateFile(path: string): Promise<string> {
  const text = await readTextFile(path);
  try {
    return parseAuthority(text, path);
  } catch (cause) {
    throw new CommandFailure((cause as TypeError).message, { cause });
  }
}

/**
 * The application credential in a file, `{"id", "secret"}`.
 * @throws CommandFailure when it cannot be read or is none; what stands there instead is not told
 */
export async function readCredentialFile(path: string): Promise<{ id: string; secret: string }> {
  const text = await readTextFile(path);
  try {
    const { id, secret } = JSON.parse(text);
    if (typeof id === 'string' && typeof secret === 'string' && id && secret) return { id, secret };
  } catch {
    // The parser's message quotes the text.
  }
  throw new CommandFailure(`${path} must hold {"id": "…", "secret": "…"}, an application credential`);
}
