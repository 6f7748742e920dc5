import { expect, it } from 'vitest';
import { every, type ScheduledEvent } from '../../../local/aws/schedule.ts';
import { localClock } from '../../../local/clock.ts';

it('runs again and again in the time of the clock, whatever a run throws', async () => {
  const events: ScheduledEvent[] = [];
  const errors: unknown[] = [];
  const third = Promise.withResolvers<void>();
  const clock = localClock(36_000);
  const started = clock.now().getTime();
  const schedule = every({
    seconds: 900,
    clock,
    run: async (event) => {
      if (events.push(event) === 3) third.resolve();
      throw new Error(`run ${events.length}`);
    },
    onError: (error) => errors.push(error),
  });
  await third.promise;
  await schedule.stop();
  expect(events[0]).toMatchObject({
    source: 'aws.scheduler',
    'detail-type': 'Scheduled Event',
    detail: '{}',
  });
  const times = events.map(({ time }) => Date.parse(time));
  expect(times[0]).toBeGreaterThanOrEqual(started + 900_000);
  for (const [n, time] of times.slice(1).entries()) expect((time - Number(times[n])) % 900_000).toBe(0);
  expect(errors).toHaveLength(events.length);
});

it('never overlaps itself and waits, when stopped, for the run in progress', async () => {
  let atWork = 0;
  let most = 0;
  let runs = 0;
  const clock = localClock(10_000);
  const second = Promise.withResolvers<void>();
  const schedule = every({
    seconds: 60,
    clock,
    run: async () => {
      atWork += 1;
      most = Math.max(most, atWork);
      runs += 1;
      if (runs === 2) second.resolve();
      await clock.sleep(300);
      atWork -= 1;
    },
  });
  await second.promise;
  await schedule.stop();
  expect({ atWork, most, runs }).toEqual({ atWork: 0, most: 1, runs: 2 });
});

it('does not run any more once it is stopped', async () => {
  let runs = 0;
  const schedule = every({
    seconds: 3600,
    clock: localClock(),
    run: async () => {
      runs += 1;
    },
  });
  await schedule.stop();
  expect(runs).toBe(0);
});
