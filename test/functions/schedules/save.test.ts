import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ScheduleWish, saveSchedule } from '../../../functions/schedules/save.ts';
import { type ServedApi, serveApi } from '../api/served-api.ts';

let api: ServedApi;
beforeAll(async () => {
  api = await serveApi({ pool: { vms: 2 } });
});
afterAll(() => api[Symbol.asyncDispose]());

const NOW = new Date('2026-03-01T12:00:30Z');
const wish: ScheduleWish = { selector: { tag: 'prod' }, timing: { daily: { at: '02:00' } }, keep: 7 };
const save = (more: Partial<ScheduleWish> = {}, id: string = randomUUID(), now = NOW) =>
  saveSchedule(id, { ...wish, ...more }, { ...api.runtime, clock: { now: () => now } });

it('fills in what the timing says, and knows when it is due', async () => {
  const made = await save({ timing: { weekly: { day: 'SUNDAY', window: 'H_0400_0600' } } });
  expect(made).toMatchObject({
    timeZone: 'UTC',
    flexibleMinutes: 120,
    backupType: 'weekly',
    quiesce: 'never',
    enabled: true,
    nextAt: '2026-03-08T04:00:00.000Z',
  });
  expect(await api.runtime.store.schedules.get(made.id)).toEqual(made);
});

it('looks the VM up, by name or UUID', async () => {
  const { uuid, name } = api.pool.vms()[0] ?? { uuid: '', name: '' };
  const { selector: _, ...plain } = wish;
  for (const vm of [uuid, name]) {
    const id = randomUUID();
    const made = await saveSchedule(id, { ...plain, vm }, api.runtime);
    expect(made.vm).toEqual({ pool: 'demo', uuid, name });
  }
  await expect(saveSchedule(randomUUID(), { ...plain, vm: 'none' }, api.runtime)).rejects.toMatchObject({
    name: 'VmNotFound',
  });
});

it('can still change a schedule whose VM is gone', async () => {
  const { uuid } = await api.pool.addVm({ name: 'short-lived' });
  const { selector: _, ...plain } = wish;
  const { id } = await saveSchedule(randomUUID(), { ...plain, vm: uuid }, api.runtime);
  const gone = { ...api.runtime, withSession: () => Promise.reject(new Error('nobody asks the pool')) };
  const changed = await saveSchedule(id, { ...plain, vm: uuid, enabled: false }, gone);
  expect(changed).toMatchObject({ enabled: false, vm: { uuid } });
  expect(await api.runtime.store.schedules.get(id)).not.toHaveProperty('nextAt');
});

it('puts all that is wished in the place of what was, and takes away what is not', async () => {
  const { id } = await save();
  const all = { name: 'n', device: '1', flatten: true, format: 'vhd', quiesce: 'prefer' } as const;
  await save(all, id);
  expect(await api.runtime.store.schedules.get(id)).toMatchObject(all);
  await save({}, id);
  for (const field of ['name', 'device', 'flatten', 'format'])
    expect(await api.runtime.store.schedules.get(id)).not.toHaveProperty(field);
});

it.each<[string, Partial<ScheduleWish>, string]>([
  ['a VM and a selector', { vm: 'web-1' }, 'vm: give either one VM or a selector.'],
  [
    'a width beside a window',
    { timing: { daily: { window: 'H_0000_0200' } }, flexibleMinutes: 60 },
    'flexibleMinutes:',
  ],
  ['no type where the timing says none', { timing: { rate: '6 hours' } }, 'backupType: is missing'],
  ['a zone that is none', { timeZone: 'Mars/Base' }, 'timeZone: there is no "Mars/Base"'],
  ['times that are over', { timing: { cron: '0 2 * * ? 2020' }, backupType: 'x' }, 'cron: no time is left'],
  ['times that never come', { timing: { cron: '0 2 30 2 ? *' }, backupType: 'x' }, 'cron: no time is left'],
])('refuses %s', async (_what, more, message) => {
  await expect(save(more)).rejects.toMatchObject({
    name: 'BadRequest',
    message: expect.stringContaining(message),
  });
});

it('keeps what is due when something else is changed, and counts anew when the times are', async () => {
  const { id } = await save({ timing: { rate: '6 hours' }, backupType: 'often' });
  const late = new Date('2026-03-02T09:10:00Z');
  const kept = await save({ timing: { rate: '6 hours' }, backupType: 'often', keep: 3 }, id, late);
  expect(kept).toMatchObject({ keep: 3, nextAt: '2026-03-01T18:00:00.000Z', createdAt: NOW.toISOString() });
  const moved = await save({ timing: { rate: '3 hours' }, backupType: 'often' }, id, late);
  expect(moved).toMatchObject({ keep: 7, nextAt: '2026-03-02T12:10:00.000Z' });
  const off = await save({ timing: { rate: '3 hours' }, backupType: 'often', enabled: false }, id, late);
  expect(off).not.toHaveProperty('nextAt');
  const on = await save(
    { timing: { rate: '3 hours' }, backupType: 'often' },
    id,
    new Date('2026-04-01T00:00:00Z'),
  );
  expect(on.nextAt).toBe('2026-04-01T00:10:00.000Z');
  expect(new Set([kept, moved, off, on].map(({ revision }) => revision)).size).toBe(4);
});

it('forgets what a change leaves out', async () => {
  const { id } = await save({ name: 'Nightly' });
  await api.runtime.store.schedules.disable(await save({ name: 'Nightly' }, id), 'its VM is gone');
  const again = await save({}, id);
  expect(again).not.toHaveProperty('name');
  expect(again).not.toHaveProperty('disabledReason');
});

it('makes one of two that are made under the same id at once', async () => {
  const id = randomUUID();
  const both = await Promise.all([save({ keep: 1 }, id), save({ keep: 2 }, id)]);
  expect(both.map(({ id: of }) => of)).toEqual([id, id]);
  const all = await api.runtime.store.schedules.all();
  expect(all.filter((each) => each.id === id)).toHaveLength(1);
});

it('reckons the time of its tests from when they were asked for, and leaves it while that is not changed', async () => {
  const restoreTest = { every: 'weekly', sample: 2, boot: true } as const;
  const { id } = await save();
  const later = (days: number) => new Date(NOW.getTime() + days * 86_400_000);
  await save({ restoreTest }, id, later(1));
  const { schedules } = api.runtime.store;
  const tests = {
    restoreTest,
    testAnchor: '2026-03-02T12:00:00.000Z',
    nextTestAt: '2026-03-09T12:00:00.000Z',
  };
  expect(await schedules.get(id)).toMatchObject(tests);
  await save({ restoreTest: { ...restoreTest, sample: 3 }, keep: 9 }, id, later(3));
  expect(await schedules.get(id)).toMatchObject({ ...tests, keep: 9, restoreTest: { sample: 3 } });
  // It is due for whichever of its times comes first.
  await save({ restoreTest, timing: { cron: '0 2 1 1 ? 2030' }, backupType: 'x' }, id, later(3));
  const due = async (days: number) => (await schedules.due(later(days))).some((each) => each.id === id);
  expect([await due(7), await due(9)]).toEqual([false, true]);
  await save({ restoreTest: { ...restoreTest, every: 'daily' } }, id, later(4));
  expect(await schedules.get(id)).toMatchObject({ nextTestAt: '2026-03-06T12:00:00.000Z' });
  await save({}, id);
  expect(await schedules.get(id)).not.toHaveProperty('nextTestAt');
});
