import { setTimeout as delay } from 'node:timers/promises';
import { styleText } from 'node:util';
import type { CommonView } from '../functions/api/common-view.ts';
import { ApiUnreachable } from './failures.ts';
import { printable } from './format.ts';
import { progressLine, rateMeter } from './progress.ts';

/** Time as this needs it; a LocalClock is one. */
export interface FollowClock {
  now(): Date;
  sleep(seconds: number, signal?: AbortSignal): Promise<void>;
}

export interface FollowOptions<J extends CommonView> {
  readonly getJob: () => Promise<J>;
  /** A terminal gets one line that is drawn again in its place, anything else a line for each change. */
  readonly out: NodeJS.WriteStream;
  /** Whether anything but a terminal gets a line for the outcome alone, where something else tells of the steps. */
  readonly outcomeOnly?: boolean;
  readonly clock?: FollowClock;
  /** Between two looks; 1. */
  readonly intervalSeconds?: number;
  /** Ends the following, not the job. */
  readonly signal?: AbortSignal;
}

/** Looks in a row that may fail, for a service that is just restarted. */
const MOST_FAILURES = 5;
/** Plain lines tell of each so many percent. */
const PLAIN_STEP = 10;

const realTime: FollowClock = {
  now: () => new Date(),
  sleep: (seconds, signal) => delay(seconds * 1000, undefined, signal && { signal }),
};

/**
 * Shows how a job goes on until it has an outcome, and returns it as it then is.
 * @throws AbortError when `signal` is aborted; what `getJob` throws, except that the API is away for a moment
 */
export async function followJob<J extends CommonView>(options: FollowOptions<J>): Promise<J> {
  const { getJob, out, outcomeOnly = false, clock = realTime, intervalSeconds = 1, signal } = options;
  const show = out.isTTY ? terminal(out, clock) : lines(out, clock, outcomeOnly);
  let failures = 0;
  try {
    for (;;) {
      signal?.throwIfAborted();
      try {
        const job = await getJob();
        failures = 0;
        show.job(job);
        if (job.finishedAt !== null) return job;
      } catch (error) {
        failures += 1;
        if (!(error instanceof ApiUnreachable) || failures > MOST_FAILURES) throw error;
      }
      await clock.sleep(intervalSeconds, signal);
    }
  } finally {
    show.end();
  }
}

interface Display {
  job(job: CommonView): void;
  end(): void;
}

/** Where a terminal does not say how wide it is. */
const USUAL_COLUMNS = 80;
const ERASE_LINE = '\r\u001b[K';

function terminal(out: NodeJS.WriteStream, clock: FollowClock): Display {
  const rate = rateMeter();
  const began = clock.now().getTime();
  return {
    job(job) {
      const now = clock.now();
      const line = progressLine(job, {
        bytesPerSecond: rate(job.bytesRead, now),
        now,
        elapsedSeconds: (now.getTime() - began) / 1000,
        columns: out.columns || USUAL_COLUMNS,
      });
      out.write(`${ERASE_LINE}${styleOf(job, line, out)}`);
    },
    end: () => out.write('\n'),
  };
}

function styleOf(job: CommonView, line: string, stream: NodeJS.WriteStream): string {
  const colour = job.status === 'succeeded' ? 'green' : job.finishedAt === null ? 'cyan' : 'red';
  return styleText(colour, line, { stream });
}

function lines(out: NodeJS.WriteStream, clock: FollowClock, outcomeOnly: boolean): Display {
  let last = '';
  let warnings = 0;
  return {
    job(job) {
      const held = job.retrying?.name ?? job.waiting?.for ?? '';
      const step = `${job.status} ${job.phase} ${Math.floor(job.progress / PLAIN_STEP)} ${held}`;
      const isTold = !outcomeOnly || job.finishedAt !== null;
      if (step !== last && isTold) out.write(`${progressLine(job, { now: clock.now() })}\n`);
      last = step;
      for (const warning of job.warnings.slice(warnings)) out.write(`warning: ${printable(warning)}\n`);
      warnings = job.warnings.length;
    },
    end: () => {},
  };
}
