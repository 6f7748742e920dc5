import { expect, it } from 'vitest';
import { rule } from '../../../local/aws/rules.ts';
import { localClock } from '../../../local/clock.ts';

interface Change {
  status: string;
}

it('delivers what matches, again and again until the target takes it', async () => {
  const seen: string[] = [];
  const delivery = rule<Change>({
    clock: localClock(1000),
    matches: ({ status }) => status !== 'RUNNING',
    target: async ({ status }) => {
      seen.push(status);
      if (seen.length < 3) throw new Error('not now');
    },
  });
  delivery.deliver({ status: 'RUNNING' });
  delivery.deliver({ status: 'FAILED' });
  await delivery.settled();
  expect(seen).toEqual(['FAILED', 'FAILED', 'FAILED']);
});

it('gives an event up after so many attempts', async () => {
  const givenUp: unknown[] = [];
  let calls = 0;
  const delivery = rule<Change>({
    clock: localClock(1000),
    attempts: 3,
    target: async () => {
      calls += 1;
      throw new Error('never');
    },
    onGivenUp: (event, error) => givenUp.push([event, error]),
  });
  delivery.deliver({ status: 'FAILED' });
  await delivery.settled();
  expect(calls).toBe(3);
  expect(givenUp).toEqual([[{ status: 'FAILED' }, new Error('never')]]);
});

it('gives up what waits when it is stopped', async () => {
  const failed = Promise.withResolvers<void>();
  const delivery = rule<Change>({
    clock: localClock(),
    target: () => {
      failed.resolve();
      return Promise.reject(new Error('not now'));
    },
  });
  delivery.deliver({ status: 'FAILED' });
  await failed.promise;
  await delivery.stop();
  delivery.deliver({ status: 'FAILED' });
  await delivery.settled();
});
