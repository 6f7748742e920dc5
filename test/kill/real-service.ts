import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const XENSNAP = fileURLToPath(new URL('../../bin/xensnap.ts', import.meta.url));

/** The service as an operator starts it, a process of its own. */
export interface RealService extends AsyncDisposable {
  readonly process: ChildProcess;
  readonly apiUrl: string;
  readonly token: string;
}

/** Starts `xensnap local`, which is not ready yet. */
export function spawnService(flags: readonly string[], state: string) {
  return spawn(process.execPath, [XENSNAP, 'local', ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, XDG_STATE_HOME: state },
  });
}

/**
 * Starts `xensnap local` and waits until it takes requests.
 * @throws Error when it ends instead
 */
export async function startRealService(flags: readonly string[], state: string): Promise<RealService> {
  const child = spawnService(flags, state);
  let output = '';
  for await (const piece of child.stdout) {
    output += piece;
    if (!output.endsWith('ready\n')) continue;
    const [, apiUrl = '', tokenFile = ''] = /^api (\S+)$[\s\S]*^token (.+)$/m.exec(output) ?? [];
    const token = (await readFile(tokenFile, 'utf8')).trim();
    return { process: child, apiUrl, token, [Symbol.asyncDispose]: () => killService(child) };
  }
  throw new Error(`the service ended early: ${output}`);
}

/** Ends it as `kill -9` does, if it has not ended yet. */
export async function killService(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}
