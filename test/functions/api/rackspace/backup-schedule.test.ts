import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { createApi } from '../../../../functions/api/app.ts';
import { nextNominal } from '../../../../functions/schedules/timing.ts';
import { type ServedApi, serveApi } from '../served-api.ts';

const DISABLED = { enabled: false, weekly: 'DISABLED', daily: 'DISABLED' };

let api: ServedApi;
let path: string;
beforeAll(async () => {
  api = await serveApi({
    pool: { vms: 1 },
    config: { projects: { a: { vmTags: ['a'] }, b: { vmTags: ['a'] } } },
  });
  await api.pool.addVm({ name: 'diskless', kind: 'noDisk' });
  await api.pool.addVm({ name: 'two', disks: [{ mib: 2 }, { mib: 2, bootable: true }] });
  await api.pool.addVm({ name: 'shared', tags: ['a'] });
  path = pathOf(api.pool.vm('web-1').uuid);
});
afterAll(() => api[Symbol.asyncDispose]());
beforeEach(async () => {
  for (const { id } of await schedules()) await api.runtime.store.schedules.remove(id);
});

const pathOf = (id: string) => `/v1.0/servers/${id}/backup_schedule`;
const schedules = () => api.runtime.store.schedules.all();
const save = (backupSchedule: object, at = path) => api.ask('POST', at, { backupSchedule });
const shown = async (at = path) => (await api.ask('GET', at)).body.backupSchedule;

it('is disabled from the start', async () => {
  const { status, body } = await api.ask('GET', path);
  expect([status, body]).toEqual([200, { backupSchedule: DISABLED }]);
});

it('makes and changes what it is told, as two schedules that keep one backup each', async () => {
  const wish = { enabled: true, weekly: 'THURSDAY', daily: 'H_0400_0600' };
  const saved = await save(wish);
  expect([saved.status, saved.body]).toEqual([204, undefined]);
  expect(await shown()).toEqual(wish);
  const made = await schedules();
  expect(made).toHaveLength(2);
  for (const schedule of made)
    expect(schedule).toMatchObject({
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/),
      vm: { pool: 'demo', uuid: api.pool.vm('web-1').uuid },
      keep: 1,
      timeZone: 'UTC',
      flexibleMinutes: 120,
      enabled: true,
    });
  expect(made.map(({ backupType }) => backupType).sort()).toEqual(['daily', 'weekly']);
  const changed = { enabled: true, weekly: 'DISABLED', daily: 'H_2200_0000' };
  expect((await save(changed)).status).toBe(204);
  expect(await shown()).toEqual(changed);
  expect((await schedules()).map(({ id }) => id)).toEqual(
    made.filter(({ backupType }) => backupType === 'daily').map(({ id }) => id),
  );
});

it('has the window before midnight begin at 22:00 GMT and end at 0:00', async () => {
  await save({ enabled: true, weekly: 'SATURDAY', daily: 'H_2200_0000' });
  const from = Date.parse('2026-03-28T12:00:00Z'); // a Saturday, before Europe's clocks change
  for (const schedule of await schedules()) {
    const next = nextNominal(schedule, from) ?? 0;
    expect(new Date(next).toISOString()).toBe('2026-03-28T22:00:00.000Z');
    expect(new Date(next + schedule.flexibleMinutes * 60_000).toISOString()).toBe('2026-03-29T00:00:00.000Z');
  }
});

it.each(Array.from({ length: 12 }, (_, index) => index * 2))(
  'knows the window that begins at %i',
  async (hour) => {
    const two = (value: number) => String(value % 24).padStart(2, '0');
    const daily = `H_${two(hour)}00_${two(hour + 2)}00`;
    expect((await save({ enabled: true, daily })).status).toBe(204);
    expect(await shown()).toEqual({ enabled: true, weekly: 'DISABLED', daily });
    const [schedule] = await schedules();
    expect(schedule?.nextAt).toMatch(new RegExp(`T${two(hour)}:00:00`));
  },
);

it('gives a weekly backup hours of its own where there is no daily one', async () => {
  await save({ enabled: true, weekly: 'SUNDAY' });
  expect(await shown()).toEqual({ enabled: true, weekly: 'SUNDAY', daily: 'DISABLED' });
  expect((await schedules())[0]?.timing).toEqual({ weekly: { day: 'SUNDAY', window: 'H_0000_0200' } });
});

it('is disabled, not forgotten, by DELETE, and by enabled: false', async () => {
  const wish = { weekly: 'MONDAY', daily: 'H_0000_0200' };
  for (const disable of [() => api.ask('DELETE', path), () => save({ ...wish, enabled: false })]) {
    await save({ ...wish, enabled: true });
    const { status, body } = await disable();
    expect([status, body]).toEqual([204, undefined]);
    expect(await shown()).toEqual({ ...wish, enabled: false });
    for (const schedule of await schedules()) {
      expect(schedule.enabled).toBe(false);
      expect(schedule).not.toHaveProperty('nextAt');
    }
  }
  expect((await api.ask('DELETE', path)).status).toBe(204);
});

it.each([
  [{}, 'backupSchedule.enabled'],
  [{ enabled: 'yes' }, 'backupSchedule.enabled'],
  [{ enabled: true, weekly: 'thursday' }, 'backupSchedule.weekly'],
  [{ enabled: true, daily: 'H_0100_0300' }, 'backupSchedule.daily'],
  [{ enabled: true, daily: 'H_2200_2400' }, 'backupSchedule.daily'],
])('refuses %j', async (wish, field) => {
  const { status, body } = await save(wish);
  expect([status, body.badRequest.code]).toEqual([400, 400]);
  expect(body.badRequest.message).toContain(field);
  expect(await schedules()).toEqual([]);
});

it('answers in the faults of its guide', async () => {
  const wish = { enabled: true, daily: 'H_0000_0200' };
  const unknown = pathOf(randomUUID());
  for (const answer of [
    await api.ask('GET', unknown),
    await save(wish, unknown),
    await api.ask('DELETE', unknown),
  ])
    expect([answer.status, answer.body]).toMatchObject([404, { itemNotFound: { code: 404 } }]);
  const doubtful = await save(wish, pathOf(api.pool.vm('two').uuid));
  expect([doubtful.status, doubtful.body.badRequest.message]).toEqual([
    400,
    expect.stringContaining('2 are marked bootable'),
  ]);
  const diskless = await save(wish, pathOf(api.pool.vm('diskless').uuid));
  expect([diskless.status, diskless.body.badRequest.message]).toEqual([
    400,
    expect.stringContaining('no disk'),
  ]);
  const xml = await api.ask('POST', path, '<backupSchedule/>', { 'content-type': 'application/xml' });
  expect([xml.status, xml.body.badMediaType.code]).toEqual([415, 415]);
  const patched = await api.ask('PATCH', path);
  expect([patched.status, patched.headers.get('allow')]).toEqual([405, 'DELETE, GET, HEAD, POST']);
});

it('has a schedule for each project that has the VM', async () => {
  const at = pathOf(api.pool.vm('shared').uuid);
  const ask = async (projectId: string, init = {}) => {
    const lambda = { projectId, userId: 'u', admin: false, role: 'member' };
    return createApi(api.runtime).request(at, init, {
      event: { requestContext: { authorizer: { lambda } } },
    });
  };
  const wish = { enabled: true, weekly: 'DISABLED', daily: 'H_0600_0800' };
  const init = { method: 'POST', body: JSON.stringify({ backupSchedule: wish }) };
  expect((await ask('a', init)).status).toBe(204);
  expect(await (await ask('a')).json()).toEqual({ backupSchedule: wish });
  expect(await (await ask('b')).json()).toEqual({ backupSchedule: DISABLED });
  expect((await schedules()).map(({ project }) => project)).toEqual(['a']);
});
