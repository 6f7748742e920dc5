import type { CommonView } from '../functions/api/common-view.ts';
import { localTime, ordinal, printable } from './format.ts';

/** Why a job gets no further: the reason, which may be shortened, and what comes then, which may not. */
export interface WaitText {
  readonly reason: string;
  readonly next: string;
}

/** What holds a job up, for people; undefined while nothing does. Times of day are those of where it is read. */
export function waitText(job: CommonView, now: Date): WaitText | undefined {
  const { retrying } = job;
  if (!retrying) return job.waiting ? waitingText(job, job.waiting, now) : undefined;
  const reason = printable(retrying.message).replace(/\.$/, '');
  const nth = ordinal(retrying.failures + 1);
  return { reason, next: `${nth} try by ${localTime(retrying.nextTryBy, now)}` };
}

function waitingText(job: CommonView, waiting: NonNullable<CommonView['waiting']>, now: Date): WaitText {
  const { since, until, reason } = waiting;
  const untilText = until === null ? '' : `until ${localTime(until, now)} at most`;
  const host = job.host === null ? 'its host' : `host ${printable(job.host)}`;
  switch (waiting.for) {
    case 'window':
      return { reason: 'waits for its time in the window', next: until ? localTime(until, now) : '' };
    case 'vm':
      return { reason: 'waits for its VM, which another job has', next: untilText };
    case 'pool':
      return {
        reason: `waits for its pool: ${printable(reason?.message ?? '')}`.replace(/\.$/, ''),
        next: '',
      };
    case 'slot':
      return { reason: `waits for a slot of ${host}`, next: '' };
    case 'coalescer':
      return { reason: 'waits until the storage has coalesced the disk', next: '' };
    case 'guest':
      return { reason: 'waits until the guest has shut down', next: untilText };
    case 'host':
      return {
        reason: `${host} does not answer${since === null ? '' : ` since ${localTime(since, now)}`}`,
        next: until === null ? '' : `is given up at ${localTime(until, now)}`,
      };
  }
}

/** The same as one text. */
export function waitLine({ reason, next }: WaitText): string {
  return next === '' ? reason : `${reason}, ${next}`;
}

/** The same in a word or two, for a table. */
export function waitWord(job: CommonView): string | null {
  if (job.retrying) return `${job.retrying.name}, ${ordinal(job.retrying.failures + 1)} try`;
  if (job.waiting) return job.waiting.for;
  return job.owing ? 'to tidy up' : null;
}
