import { expect, it } from 'vitest';
import { localClock } from '../../local/clock.ts';

it('lets an hour pass in a moment when it runs fast', async () => {
  const speed = 36_000;
  const clock = localClock(speed);
  const before = clock.now().getTime();
  await clock.sleep(3600);
  // Timers and the time of day are counted apart, in whole milliseconds each: two of them may be missing.
  expect(clock.now().getTime() - before).toBeGreaterThanOrEqual(3_600_000 - 2 * speed);
});

it('stops waiting when it is told to', async () => {
  const stop = new AbortController();
  const waiting = localClock().sleep(3600, stop.signal);
  stop.abort();
  await expect(waiting).rejects.toThrow(/abort/i);
});
