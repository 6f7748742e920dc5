import { rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { privateFolder, readPrivateFile, type Warn, writePrivateFile } from '../local/private-files.ts';
import { stateFolder } from './state-folder.ts';

/**
 * Where a service on this machine says which file has its token, for this user's command line:
 * `services/<machine>:<port>` in the state folder. The machine's name is there for homes that several machines share.
 */
function quotaOf(port: string): string {
  return join(stateFolder(), 'services', `${hostname()}:${port}`);
}

/** Says so; gives back what takes it away again. Where it cannot be said, the command line must be told instead. */
export async function tellTokenFile(url: string, file: string, warn: Warn): Promise<() => Promise<void>> {
  const place = quotaOf(new URL(url).port);
  try {
    await privateFolder(dirname(place), warn);
    await writePrivateFile(place, `${file}\n`);
  } catch (error) {
    warn(
      `commands need --auth bearer --token-file ${file}, which they cannot find: ${(error as Error).message}`,
    );
    return async () => {};
  }
  return async () => {
    const [told] = (await readPrivateFile(place))?.split('\n') ?? [];
    if (told === file) await rm(place, { force: true });
  };
}

/**
 * The file with the token of the service that this user runs at a port; undefined where none says so.
 * @throws NotPrivateError when somebody else may have said it
 */
export async function tokenFileAt(port: string): Promise<string | undefined> {
  return (await readPrivateFile(quotaOf(port)))?.split('\n')[0];
}
