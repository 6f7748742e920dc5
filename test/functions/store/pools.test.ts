import { expect, it } from 'vitest';
import { atOnce, later, NOW, storeOfFile } from './a-store.ts';

const parts = storeOfFile();

it('pauses a pool after three failures in a row, until the time that the last one names', async () => {
  const { pools } = parts.store;
  expect(await pools.health('p1')).toEqual({ failures: 0 });
  expect(await pools.unreachable('p1', 'refused', NOW)).toBe(false);
  expect(await pools.unreachable('p1', 'refused', NOW)).toBe(false);
  expect((await pools.health('p1')).pausedUntil).toBeUndefined();
  expect(await pools.unreachable('p1', 'timed out', later(60))).toBe(true);
  expect(await pools.health('p1')).toMatchObject({
    failures: 3,
    reason: 'timed out',
    pausedUntil: later(60).toISOString(),
  });
  await pools.unreachable('p1', 'timed out', later(120));
  expect(await pools.health('p1')).toMatchObject({ failures: 4, pausedUntil: later(120).toISOString() });
});

it('goes on after the first success, and counts anew', async () => {
  const { pools } = parts.store;
  for (let n = 0; n < 3; n++) await pools.unreachable('p2', 'refused', later(60));
  await pools.reached('p2');
  const health = await pools.health('p2');
  expect(health.failures).toBe(0);
  expect(health.pausedUntil).toBeUndefined();
  expect(health.reason).toBeUndefined();
  for (let n = 0; n < 2; n++) await pools.unreachable('p2', 'refused', later(60));
  expect((await pools.health('p2')).pausedUntil).toBeUndefined();
});

it('counts every failure of several at once', async () => {
  const { pools } = parts.store;
  await atOnce(10, () => pools.unreachable('p3', 'refused', later(60)));
  expect(await pools.health('p3')).toMatchObject({ failures: 10, pausedUntil: later(60).toISOString() });
});

it('writes nothing about a pool that always answers', async () => {
  const { pools } = parts.store;
  await pools.reached('p4');
  expect(await pools.health('p4')).toEqual({ failures: 0 });
});

it('remembers the members of a pool, and a new master, apart from how the pool answers', async () => {
  const { pools } = parts.store;
  expect(await pools.members('p5')).toBeUndefined();
  const members = ['https://10.0.0.1', 'https://10.0.0.2'];
  await pools.keepMembers('p5', { members, pool: 'uuid', master: 'https://10.0.0.1' });
  await pools.keepMembers('p5', { members, pool: 'uuid', master: 'https://10.0.0.2' });
  expect(await pools.members('p5')).toMatchObject({ members, pool: 'uuid', master: 'https://10.0.0.2' });
  expect(await pools.health('p5')).toEqual({ failures: 0 });
});
