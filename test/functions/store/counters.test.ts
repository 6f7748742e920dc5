import { expect, it } from 'vitest';
import { atOnce, storeOfFile } from './a-store.ts';

const parts = storeOfFile();

it('lets no more in than the limit, of fifty at once', async () => {
  const { counters } = parts.store;
  const taken = await atOnce(50, (n) => counters.take('host#demo/h1', `job${n}`, 3));
  const winners = taken.flatMap((won, n) => (won ? [`job${n}`] : []));
  expect(winners).toHaveLength(3);
  expect((await counters.holders('host#demo/h1')).toSorted()).toEqual(winners.toSorted());
});

it('lets a holder in again without another slot, however full it is', async () => {
  const { counters } = parts.store;
  expect(await counters.take('host#demo/h2', 'a', 1)).toBe(true);
  expect(await counters.take('host#demo/h2', 'a', 1)).toBe(true);
  expect(await counters.take('host#demo/h2', 'b', 1)).toBe(false);
  expect(await counters.holders('host#demo/h2')).toEqual(['a']);
});

it('takes a slot back once, and from its holder', async () => {
  const { counters } = parts.store;
  await counters.take('host#demo/h3', 'a', 1);
  await counters.release('host#demo/h3', 'b');
  expect(await counters.take('host#demo/h3', 'b', 1)).toBe(false);
  await counters.release('host#demo/h3', 'a');
  await counters.release('host#demo/h3', 'a');
  expect(await counters.holders('host#demo/h3')).toEqual([]);
  expect(await counters.take('host#demo/h3', 'b', 1)).toBe(true);
});

it('knows no holders of a place that nobody used, and takes nothing back there', async () => {
  const { counters } = parts.store;
  await counters.release('sr#demo/s1', 'a');
  expect(await counters.holders('sr#demo/s1')).toEqual([]);
});

it('heeds a limit that was lowered or raised while slots are held', async () => {
  const { counters } = parts.store;
  for (const job of ['a', 'b', 'c']) await counters.take('host#demo/h4', job, 3);
  await counters.release('host#demo/h4', 'a');
  expect(await counters.take('host#demo/h4', 'd', 2)).toBe(false);
  expect(await counters.take('host#demo/h4', 'd', 3)).toBe(true);
});
