import { resolve } from 'node:path';
import { keptToken } from '../local/token.ts';
import { stateFolder } from './state-folder.ts';
import { warn } from './warn.ts';

/** What callers must send, and the file that holds it; undefined where they are asked for nothing. */
export type Access = { readonly token: string; readonly file: string } | undefined;

/**
 * What callers of a service on this machine must send: the token in its data folder, or in this user's state folder
 * where it keeps nothing. With `--no-auth` nothing, and standard error says what that means.
 * @throws NotPrivateError when others may know the token
 */
export async function accessOf(auth: boolean, dataDir: string | undefined): Promise<Access> {
  if (auth) {
    const file = resolve(dataDir ?? stateFolder(), 'token');
    return { token: await keptToken(file, warn), file };
  }
  warn('--no-auth: every user and every program of this machine may take, read and delete backups here');
  return undefined;
}

/** The line that says where the token is, for those that may read it. */
export function accessLine(access: Access): string[] {
  return access ? [`token ${access.file}`] : [];
}
