import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandFailure, Interrupted } from './failures.ts';

/** Something that serves until it is closed. */
export interface Server {
  close(): Promise<void>;
}

/**
 * Runs a server until SIGINT or SIGTERM.
 * @param dataDir its folder; without one, a temporary one that goes with it
 * @param start starts it and gives the lines that say where it is; `ready` follows them. Its signal is aborted when
 *   the process is to stop before: what it has started by then it closes itself
 * @param options.once stops it as soon as it is started
 */
export async function serveUntilStopped(
  dataDir: string | undefined,
  start: (dataDir: string, signal: AbortSignal) => Promise<{ server: Server; lines: readonly string[] }>,
  options: { once?: boolean } = {},
): Promise<void> {
  const temporary = dataDir === undefined ? await mkdtemp(join(tmpdir(), 'xensnap-')) : undefined;
  try {
    const stop = new AbortController();
    const stopped = untilStopped().then(() => stop.abort());
    const { server, lines } = await start(dataDir ?? temporary ?? '', stop.signal).catch((error) => {
      throw stop.signal.aborted ? new Interrupted('stopped before it was ready') : explained(error);
    });
    process.stdout.write([...lines, 'ready', ''].join('\n'));
    if (!options.once) await stopped;
    await server.close();
  } finally {
    if (temporary !== undefined) await rm(temporary, { recursive: true, force: true });
  }
}

function untilStopped(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}

function explained(error: NodeJS.ErrnoException & { port?: number }): Error {
  if (error.code !== 'EADDRINUSE') return error;
  return new CommandFailure(`the port ${error.port ?? ''} is in use; name another`, { cause: error });
}
