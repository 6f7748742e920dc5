import { expect, it } from 'vitest';
import { atOnce, storeOfFile } from './a-store.ts';

const parts = storeOfFile();

it('lets no more in than the limit, of fifty at once', async () => {
  const { slots } = parts.store;
  const taken = await atOnce(50, (n) => slots.take('host#demo/h1', `job${n}`, 3));
  const winners = taken.flatMap((won, n) => (won ? [`job${n}`] : []));
  expect(winners).toHaveLength(3);
  expect((await slots.holders('host#demo/h1')).toSorted()).toEqual(winners.toSorted());
});

it('lets a holder in again without another slot, however full it is', async () => {
  const { slots } = parts.store;
  expect(await slots.take('host#demo/h2', 'a', 1)).toBe(true);
  expect(await slots.take('host#demo/h2', 'a', 1)).toBe(true);
  expect(await slots.take('host#demo/h2', 'b', 1)).toBe(false);
  expect(await slots.holders('host#demo/h2')).toEqual(['a']);
});

it('takes a slot back once, and from its holder', async () => {
  const { slots } = parts.store;
  await slots.take('host#demo/h3', 'a', 1);
  await slots.release('host#demo/h3', 'b');
  expect(await slots.take('host#demo/h3', 'b', 1)).toBe(false);
  await slots.release('host#demo/h3', 'a');
  await slots.release('host#demo/h3', 'a');
  expect(await slots.holders('host#demo/h3')).toEqual([]);
  expect(await slots.take('host#demo/h3', 'b', 1)).toBe(true);
});

it('knows no holders of a place that nobody used, and takes nothing back there', async () => {
  const { slots } = parts.store;
  await slots.release('sr#demo/s1', 'a');
  expect(await slots.holders('sr#demo/s1')).toEqual([]);
});

it('heeds a limit that was lowered or raised while slots are held', async () => {
  const { slots } = parts.store;
  for (const job of ['a', 'b', 'c']) await slots.take('host#demo/h4', job, 3);
  await slots.release('host#demo/h4', 'a');
  expect(await slots.take('host#demo/h4', 'd', 2)).toBe(false);
  expect(await slots.take('host#demo/h4', 'd', 3)).toBe(true);
});
