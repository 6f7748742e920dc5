import { Interrupted } from './failures.ts';

/** Ctrl-C, `kill`, and the terminal or the connection that went away. */
export const TERMINATION = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const satisfies readonly NodeJS.Signals[];

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
  const stop = () => interrupt.abort();
  for (const name of signals) process.once(name, stop);
  try {
    return await run(interrupt.signal);
  } catch (error) {
    throw interrupt.signal.aborted ? new Interrupted(message) : error;
  } finally {
    for (const name of signals) process.removeListener(name, stop);
  }
}
