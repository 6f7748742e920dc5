import { expect, it } from 'vitest';
import { atOnce, later, NOW, storeOfFile } from './a-store.ts';

const parts = storeOfFile();

it('gives a VM to one job, of fifty at once, and tells the others whose it is', async () => {
  const { leases } = parts.store;
  const answers = await atOnce(50, (n) => leases.takeVm('demo', 'vm1', `job${n}`));
  const holder = await leases.holderOfVm('demo', 'vm1');
  expect(new Set(answers)).toEqual(new Set([holder]));
  expect(await leases.takeVm('demo', 'vm1', holder ?? '')).toBe(holder);
});

it('takes a VM back from its holder only', async () => {
  const { leases } = parts.store;
  await leases.takeVm('demo', 'vm2', 'mine');
  await leases.releaseVm('demo', 'vm2', 'another');
  expect(await leases.holderOfVm('demo', 'vm2')).toBe('mine');
  await leases.releaseVm('demo', 'vm2', 'mine');
  await leases.releaseVm('demo', 'vm2', 'mine');
  expect(await leases.holderOfVm('demo', 'vm2')).toBeUndefined();
  expect(await leases.takeVm('demo', 'vm2', 'another')).toBe('another');
});

it('gives a VM that was taken for a time to the next one after it, who keeps it', async () => {
  const { leases } = parts.store;
  await leases.takeVm('demo', 'vm5', 'janitor', NOW, 60);
  expect(await leases.takeVm('demo', 'vm5', 'a', later(59))).toBe('janitor');
  expect(await leases.takeVm('demo', 'vm5', 'a', later(61))).toBe('a');
  await leases.releaseVm('demo', 'vm5', 'janitor');
  expect(await leases.takeVm('demo', 'vm5', 'b', later(1e6))).toBe('a');
});

it('tells a VM from one of the same UUID in another pool', async () => {
  const { leases } = parts.store;
  expect(await leases.takeVm('demo', 'vm3', 'a')).toBe('a');
  expect(await leases.takeVm('other', 'vm3', 'b')).toBe('b');
});

it('answers with a holder when takes and releases run into each other', async () => {
  const { leases } = parts.store;
  await atOnce(10, async (n) => {
    for (let round = 0; round < 5; round++) {
      const holder = await leases.takeVm('demo', 'vm4', `job${n}`);
      expect(holder).toMatch(/^job\d$/);
      if (holder === `job${n}`) await leases.releaseVm('demo', 'vm4', holder);
    }
  });
  expect(await leases.holderOfVm('demo', 'vm4')).toBeUndefined();
});

it('binds a key to one job, of twenty at once', async () => {
  const { leases } = parts.store;
  const answers = await atOnce(20, (n) => leases.takeKey('local:k1', `job${n}`, NOW, 60));
  expect(new Set(answers).size).toBe(1);
  expect(await leases.jobOfKey('local:k1', NOW)).toBe(answers[0]);
});

it('frees a key when its time is over, although the table has not removed it yet', async () => {
  const { leases } = parts.store;
  await leases.takeKey('k2', 'first', NOW, 60);
  expect(await leases.jobOfKey('k2', later(60))).toBe('first');
  expect(await leases.takeKey('k2', 'second', later(60), 60)).toBe('first');
  expect(await leases.jobOfKey('k2', later(61))).toBeUndefined();
  expect(await leases.takeKey('k2', 'second', later(61), 60)).toBe('second');
});

it('keeps a key longer for the job that has it', async () => {
  const { leases } = parts.store;
  await leases.takeKey('k3', 'first', NOW, 60);
  expect(await leases.takeKey('k3', 'first', NOW, 86_400)).toBe('first');
  expect(await leases.jobOfKey('k3', later(86_400))).toBe('first');
});

it('frees a key early for its own job only', async () => {
  const { leases } = parts.store;
  await leases.takeKey('k4', 'first', NOW, 60);
  await leases.releaseKey('k4', 'second');
  expect(await leases.jobOfKey('k4', NOW)).toBe('first');
  await leases.releaseKey('k4', 'first');
  expect(await leases.jobOfKey('k4', NOW)).toBeUndefined();
});
