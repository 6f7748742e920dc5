import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Answer } from './worker.ts';

const WORKER = fileURLToPath(new URL('worker.ts', import.meta.url));
/** A schedule that has not ended by then never will. */
const MOST_SECONDS = 300;
/** A worker that has played so many makes place for a new one, so that none grows. */
const MOST_PLAYED = 50;

/**
 * Has each seed's schedule played in one of so many processes; `next` gives the seeds, and undefined when there are no
 * more.
 */
export async function playAll(
  workers: number,
  next: () => number | undefined,
  hear: (answer: Answer) => void,
): Promise<void> {
  const lane = async () => {
    for (let seed = next(); seed !== undefined; ) {
      const child = fork(WORKER, { execArgv: ['--max-semi-space-size=4'] });
      try {
        for (let played = 0; played < MOST_PLAYED && seed !== undefined; played += 1) {
          child.send(seed);
          const answer = await answerOf(child, seed);
          hear(answer);
          seed = next();
          if (answer.wrong.length > 0) break;
        }
      } finally {
        child.kill('SIGKILL');
      }
    }
  };
  await Promise.all(Array.from({ length: workers }, lane));
}

async function answerOf(child: ReturnType<typeof fork>, seed: number): Promise<Answer> {
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, AbortSignal.timeout(MOST_SECONDS * 1000)]);
  try {
    const [answer] = await Promise.race([
      once(child, 'message', { signal }),
      once(child, 'exit', { signal }).then(([code, by]) => [
        { seed, wrong: [`its process ended with ${code ?? by}`], ended: {} },
      ]),
    ]);
    return answer;
  } catch {
    return { seed, wrong: [`it had not ended after ${MOST_SECONDS} s`], ended: {} };
  } finally {
    over.abort();
  }
}
