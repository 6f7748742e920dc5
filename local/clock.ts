import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../functions/clock.ts';

/** A clock that can also wait: what the local service and the simulated servers run on. */
export interface LocalClock extends Clock {
  /** How many of this clock's seconds pass in one real second. */
  readonly speed: number;
  /**
   * Waits `seconds` of this clock's time without keeping the process alive.
   * @throws AbortError when `signal` is aborted first
   */
  sleep(seconds: number, signal?: AbortSignal): Promise<void>;
}

/**
 * A clock that starts at the real time and runs `speed` times as fast; 1 is real time. With 60, the five minutes
 * that a garbage collector pauses are over in five seconds.
 */
export function localClock(speed = 1): LocalClock {
  const started = Date.now();
  return {
    speed,
    now: () => new Date(started + (Date.now() - started) * speed),
    sleep: (seconds, signal) =>
      delay((seconds * 1000) / speed, undefined, { ref: false, ...(signal && { signal }) }),
  };
}
