import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** What outlives a service of this user's, by the XDG Base Directory Specification, which has relative paths ignored. */
export function stateFolder(): string {
  const { XDG_STATE_HOME: given = '' } = process.env;
  return join(isAbsolute(given) ? given : join(homedir(), '.local/state'), 'xensnap');
}
