import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { trouble } from '../local/aws/damage.ts';
import { privateFolder, shutBelow } from '../local/private-files.ts';
import { CommandFailure, Interrupted } from './failures.ts';
import { heed, TERMINATION } from './interrupt.ts';
import { warn } from './warn.ts';

/** Something that serves until it is closed. */
export interface Server {
  close(): Promise<void>;
}

/**
 * Runs a server until SIGINT, SIGTERM or SIGHUP.
 * @param dataDir its folder, which from then on is for this user alone; without one, a temporary one that goes with it
 * @param start starts it and gives the lines that say where it is; `ready` follows them. Its signal is aborted when
 *   the process is to stop before: what it has started by then it closes itself
 * @param options.portFlag the flag that says a port which is in use
 * @param options.once stops it as soon as it is started, and tells nobody where it was
 * @throws NotPrivateError when its folder is another user's
 */
export async function serveUntilStopped(
  dataDir: string | undefined,
  start: (dataDir: string, signal: AbortSignal) => Promise<{ server: Server; lines: readonly string[] }>,
  options: { portFlag: (port: number) => string; once?: boolean },
): Promise<void> {
  const temporary = dataDir === undefined ? await mkdtemp(join(tmpdir(), 'xensnap-')) : undefined;
  try {
    if (dataDir !== undefined)
      try {
        await privateFolder(dataDir, warn);
        await shutBelow(dataDir, warn);
      } catch (error) {
        throw ofFolder(dataDir, error as Error);
      }
    const stop = new AbortController();
    const stopped = untilStopped().then(() => stop.abort());
    const { server, lines } = await start(dataDir ?? temporary ?? '', stop.signal).catch((error) => {
      throw stop.signal.aborted
        ? new Interrupted('stopped before it was ready')
        : ofFolder(dataDir ?? temporary ?? '', explained(error, options.portFlag));
    });
    if (!options.once) {
      process.stdout.write([...lines, 'ready', ''].join('\n'));
      await stopped;
    }
    await server.close();
  } finally {
    if (temporary !== undefined) await rm(temporary, { recursive: true, force: true });
  }
}

function untilStopped(): Promise<void> {
  return new Promise((resolve) => {
    heed(TERMINATION, resolve);
  });
}

/** What the file system refused, with the folder and what to do; any other error as it is. */
export function ofFolder(folder: string, error: Error): Error {
  const isOfSystem = 'syscall' in error && error.syscall !== 'listen' && error.syscall !== 'connect';
  const why = isOfSystem ? trouble(error) : undefined;
  if (why === undefined) return error;
  return new CommandFailure(`the data folder ${folder} can't be used: ${why}, or name another with --data`, {
    cause: error,
  });
}

function explained(
  error: NodeJS.ErrnoException & { port?: number },
  portFlag: (port: number) => string,
): Error {
  const { code, port } = error;
  if (code !== 'EADDRINUSE' || port === undefined) return error;
  return new CommandFailure(`the port ${port} is in use: name another with ${portFlag(port)}`, {
    cause: error,
  });
}
