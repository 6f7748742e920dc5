import { expect, it } from 'vitest';
import { localClock } from '../../local/clock.ts';

it('lets an hour pass in a moment when it runs fast', async () => {
  const clock = localClock(3_600_000);
  const before = clock.now().getTime();
  await clock.sleep(3600);
  expect(clock.now().getTime() - before).toBeGreaterThanOrEqual(3_599_000);
});

it('stops waiting when it is told to', async () => {
  const stop = new AbortController();
  const waiting = localClock().sleep(3600, stop.signal);
  stop.abort();
  await expect(waiting).rejects.toThrow(/abort/i);
});
