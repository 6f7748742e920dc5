import type { Reason } from '../errors.ts';
import type { Run } from './run.ts';

/** However narrow the window, a run waits so long for a busy VM or a pool that does not answer. */
export const LEAST_WAIT_MS = 3_600_000;
/** A tick comes every minute: a run is not late before two have passed. */
const TICKS_MS = 120_000;
const DAY_MS = 86_400_000;

/** A nominal time of a schedule and the one after it, in ms since 1970. */
export interface NominalTime {
  readonly nominal: number;
  readonly next: number | undefined;
}

/** The last time of all has a day. */
export function endOf({ nominal, next }: NominalTime): number {
  return next ?? nominal + DAY_MS;
}

/** From when on a run is too late to be made up: half-way to the next. */
export function lateFrom(time: NominalTime): number {
  return time.nominal + Math.max(TICKS_MS, (endOf(time) - time.nominal) / 2);
}

/** Whether it is too late for a run that is on record. */
export function isLate({ nominal, next }: Run, now: Date): boolean {
  const time = { nominal: Date.parse(nominal), next: next === undefined ? undefined : Date.parse(next) };
  return now.getTime() >= lateFrom(time);
}

/** The reason of a run whose time was over when xensnap came to it. */
export function missed(now: Date): Reason {
  const at = now.toISOString().slice(0, 16);
  return {
    name: 'RunMissed',
    message: `xensnap came to it at ${at}Z only: more than half of the time to the next run had passed.`,
  };
}
