import { Interrupted } from './failures.ts';

/** Ctrl-C, `kill`, and the terminal or the connection that went away. */
export const TERMINATION = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const satisfies readonly NodeJS.Signals[];

/** `npm run` hands on the Ctrl-C that the terminal has given to everybody: what comes so soon is the same one. */
const ECHO_MS = 500;

/**
 * Has the first of `signals` call `stop`; one that comes later than an echo of the first ends the process at once.
 * @returns what ends that, unless one has come: its echo must not end the process before it has said so
 */
export function heed(signals: readonly NodeJS.Signals[], stop: () => void): () => void {
  let first: number | undefined;
  const hear = (signal: NodeJS.Signals) => {
    if (first === undefined) {
      first = performance.now();
      stop();
    } else if (performance.now() - first > ECHO_MS) {
      unheed();
      process.kill(process.pid, signal);
    }
  };
  const unheed = () => {
    for (const name of signals) process.off(name, hear);
  };
  for (const name of signals) process.on(name, hear);
  return () => {
    if (first === undefined) unheed();
  };
}

/**
 * Runs `run` with a signal that Ctrl-C, or another of `signals`, aborts.
 * @throws Interrupted with the message, when it was aborted
 */
export async function interruptible<T>(
  message: string,
  run: (signal: AbortSignal) => Promise<T>,
  signals: readonly NodeJS.Signals[] = ['SIGINT'],
): Promise<T> {
  const interrupt = new AbortController();
  const release = heed(signals, () => interrupt.abort());
  try {
    return await run(interrupt.signal);
  } catch (error) {
    throw interrupt.signal.aborted ? new Interrupted(message) : error;
  } finally {
    release();
  }
}
