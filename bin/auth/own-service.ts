import { readFile } from 'node:fs/promises';
import { readToken } from '../../local/token.ts';
import { CommandFailure } from '../failures.ts';
import { tokenFileAt } from '../token-places.ts';
import type { Authentication, Proof } from './authentication.ts';

const NOTHING: Proof = { headers: {}, secrets: [] };

/**
 * Sends the token of the service that this user runs on this machine, if there is one at the port; else nothing, as to
 * a service that asks nobody (`--no-auth`).
 */
export function ownService(url: URL): Authentication {
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return {
    async prove() {
      const file = await tokenFileAt(port);
      const token = file === undefined ? undefined : await readToken(file);
      if (file === undefined || token === undefined) return NOTHING;
      await requireOwnListener(port, file);
      return { headers: { authorization: `Bearer ${token}` }, secrets: [token] };
    },
    advice:
      'no token is known that is right there: set --auth (or XENSNAP_AUTH) to iam, token or bearer; a service on this ' +
      'machine names at its start the file for --auth bearer --token-file',
  };
}

/** A port that nobody has is anybody's, and whoever takes it would be sent the token. */
async function requireOwnListener(port: string, file: string): Promise<void> {
  const other = (await listenersAt(Number(port))).find((uid) => uid !== process.getuid?.());
  if (other === undefined) return;
  throw new CommandFailure(
    `another user (number ${other}) listens at port ${port}: the token in ${file} is not sent to them`,
  );
}

/** The users whose processes listen at a TCP port; none where the kernel has no such tables (proc_net(5)). */
async function listenersAt(port: number): Promise<number[]> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')),
  );
  const rows = tables.flatMap((table) => table.split('\n').slice(1)).map((row) => row.trim().split(/\s+/));
  const LISTENING = '0A';
  return rows
    .filter(
      ([, local, , state]) => state === LISTENING && Number.parseInt(local?.split(':')[1] ?? '', 16) === port,
    )
    .map((row) => Number(row[7]));
}
