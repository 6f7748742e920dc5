import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createApi } from '../../../functions/api/app.ts';
import { type ServedApi, serveApi } from './served-api.ts';

let api: ServedApi;
beforeAll(async () => {
  api = await serveApi({
    pool: { vms: 1 },
    config: { projects: { a: { vmTags: ['team-a'] }, b: {}, ops: { admin: true } } },
  });
  await api.pool.addVm({ name: 'twin' });
  await api.pool.addVm({ name: 'twin' });
  await api.pool.addVm({ name: 'web', tags: ['team-a'] });
});
afterAll(() => api[Symbol.asyncDispose]());
afterEach(async () => {
  for (const { id } of await api.runtime.store.schedules.all()) await api.runtime.store.schedules.remove(id);
});

const nightly = { selector: { tag: 'prod' }, daily: { at: '02:00' }, keep: 7 };
const create = async (more: object = {}) => {
  const answer = await api.ask('POST', '/schedules', { ...nightly, ...more });
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return answer;
};

/** A request of a project's caller, as API Gateway hands it on. */
async function askAs(projectId: string | undefined, method: string, path: string, body?: object) {
  const authorizer =
    projectId === undefined ? {} : { lambda: { projectId, userId: 'u', admin: false, role: 'member' } };
  const response = await createApi(api.runtime).request(
    path,
    {
      method,
      ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    },
    { event: { requestContext: { authorizer } } },
  );
  const text = await response.text();
  // biome-ignore lint/suspicious/noExplicitAny: what an answer holds is what the tests assert
  return { status: response.status, body: (text === '' ? undefined : JSON.parse(text)) as any };
}

it('refuses an SR for tests that the pool has not, and asks no more while it stays', async () => {
  const restoreTest = { every: 'weekly', sr: 'nowhere' };
  const { status, body } = await api.ask('POST', '/schedules', { ...nightly, restoreTest });
  expect([status, body.error]).toEqual([
    400,
    {
      name: 'BadRequest',
      message: expect.stringMatching(/^restoreTest\.sr: .* no SR "nowhere".* "NFS shared/),
    },
  ]);
  const twins = await api.ask('POST', '/schedules', {
    ...nightly,
    restoreTest: { ...restoreTest, sr: 'Local storage' },
  });
  expect(twins.body.error.message).toMatch(/^restoreTest\.sr: 2 SRs are named/);
  const good = { ...restoreTest, sr: 'NFS shared storage' };
  const { body: made } = await create({ restoreTest: good });
  const looks = () => api.pool.calls.filter(({ method }) => method === 'SR.get_all_records_where').length;
  const before = looks();
  const put = await api.ask('PUT', `/schedules/${made.id}`, { ...nightly, keep: 3, restoreTest: good });
  expect([put.status, looks()]).toEqual([200, before]);
});

it('makes, shows, replaces and removes a schedule', async () => {
  const { uuid } = api.pool.vms()[0] ?? { uuid: '' };
  const made = await create({ selector: undefined, vm: uuid, timeZone: 'Europe/Berlin', name: 'Nightly' });
  const path = `/schedules/${made.body.id}`;
  expect(made.headers.get('location')).toBe(path);
  expect(made.body).toMatchObject({
    name: 'Nightly',
    vm: { pool: 'demo', uuid },
    selector: null,
    daily: { at: '02:00' },
    backupType: 'daily',
    enabled: true,
  });
  expect(made.body.nextRuns).toHaveLength(5);
  expect((await api.ask('GET', path)).body).toEqual(made.body);
  const put = await api.ask('PUT', path, {
    ...nightly,
    weekly: { day: 'SUNDAY', window: 'H_0200_0400' },
    daily: undefined,
  });
  expect([put.status, put.body.backupType, put.body.flexibleMinutes, put.body.name]).toEqual([
    200,
    'weekly',
    120,
    null,
  ]);
  expect(put.body.createdAt).toBe(made.body.createdAt);
  const off = await api.ask('PUT', path, { ...nightly, enabled: false });
  expect([off.body.enabled, off.body.nextRuns]).toEqual([false, []]);
  expect((await api.ask('DELETE', path)).status).toBe(204);
  for (const [method, body] of [['GET'], ['PUT', nightly], ['DELETE']] as const)
    expect((await api.ask(method, path, body)).body.error.name).toBe('ScheduleNotFound');
});

it('lists them by pages, the newest first', async () => {
  const made: string[] = [];
  for (let n = 0; n < 5; n++) made.unshift((await create()).body.id);
  const seen: string[][] = [];
  let marker: string | null = null;
  do {
    const query: string = marker === null ? '' : `&marker=${marker}`;
    const { body } = await api.ask('GET', `/schedules?limit=2${query}`);
    seen.push(body.schedules.map(({ id }: { id: string }) => id));
    marker = body.next;
  } while (marker !== null);
  expect(seen.map(({ length }) => length)).toEqual([2, 2, 1]);
  expect(new Set(seen.flat())).toEqual(new Set(made));
});

it.each<[string, object, number, string, string]>([
  ['no timing', { daily: undefined }, 400, 'BadRequest', 'give one of cron, rate'],
  ['two timings', { rate: '1 hour' }, 400, 'BadRequest', 'give one of cron, rate'],
  ['neither at nor window', { daily: {} }, 400, 'BadRequest', 'daily: give either'],
  [
    'a wrong cron',
    { daily: undefined, cron: '0 25 * * ? *', backupType: 'x' },
    400,
    'BadRequest',
    'hours "25"',
  ],
  ['no keep', { keep: undefined }, 400, 'BadRequest', 'keep'],
  ['nothing kept', { keep: 0 }, 400, 'BadRequest', 'keep'],
  ['no VM and no selector', { selector: undefined }, 400, 'BadRequest', 'either one VM or a selector'],
  ['an unknown field', { retention: 7 }, 400, 'BadRequest', 'there is no field "retention"'],
  ['a VM that is not there', { selector: undefined, vm: 'nobody' }, 404, 'VmNotFound', 'nobody'],
  ['a pool that is not there', { selector: { pool: 'x' } }, 404, 'PoolNotFound', '"x"'],
  ['a name that two VMs have', { selector: undefined, vm: 'twin' }, 409, 'VmNameAmbiguous', 'twin'],
  ['too much', { name: 'x'.repeat(70_000) }, 413, 'BodyTooLarge', '65536'],
])('refuses %s', async (_what, more, status, name, message) => {
  const answer = await api.ask('POST', '/schedules', { ...nightly, ...more });
  expect([answer.status, answer.body.error.name]).toEqual([status, name]);
  expect(answer.body.error.message).toContain(message);
});

it('refuses a body that is no JSON, a wrong id, marker and date', async () => {
  const text = { 'content-type': 'text/plain' };
  expect((await api.ask('POST', '/schedules', 'x', text)).status).toBe(415);
  const { body } = await create();
  expect((await api.ask('PUT', `/schedules/${body.id}`, 'x', text)).status).toBe(415);
  for (const id of ['x', randomUUID(), 'a'.repeat(3000)])
    for (const path of [`/schedules/${id}`, `/schedules/${id}/retention`])
      expect((await api.ask('GET', path)).status).toBe(404);
  for (const path of [
    '/schedules?marker=x',
    '/schedules?limit=0',
    '/reports?date=today',
    '/reports?date=2026-02-30',
  ])
    expect((await api.ask('GET', path)).status).toBe(400);
});

/** An active backup of a VM. */
async function anImage(id: string, vm: string, name: string, verifiedAt: string) {
  await api.runtime.glance.createImage({
    ...{ id, name, diskFormat: 'vhd', containerFormat: 'ovf', visibility: 'private' },
    properties: {
      ...{ image_type: 'backup', backup_type: 'daily', xensnap_installation: 'test', xensnap_job: id },
      ...{ xensnap_pool: 'demo', xensnap_vm: vm, xensnap_verified: 'true', xensnap_verified_at: verifiedAt },
    },
  });
  await fetch(`${api.glance.url}/v2/images/${id}/file`, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream' },
    body: 'x',
  });
}

it('tells what a rotation would delete, and 502 when Glance does not list', async () => {
  const { uuid, name } = api.pool.vms()[0] ?? { uuid: '', name: '' };
  const { body } = await create({ selector: undefined, vm: uuid, keep: 1 });
  const ids = [randomUUID(), randomUUID()];
  for (const [index, id] of ids.entries())
    await anImage(id, uuid, `${name}-${index}`, `2026-01-0${index + 1}T00:00:00.000Z`);
  const path = `/schedules/${body.id}/retention`;
  const answer = await api.ask('GET', path);
  expect(answer.status).toBe(200);
  expect(answer.body.vms).toMatchObject([
    {
      uuid,
      images: [
        { id: ids[1], action: 'keep' },
        { id: ids[0], action: 'delete', why: expect.stringContaining('only 1 stay') },
      ],
    },
  ]);
  expect(api.glance.images()).toHaveLength(2);
  api.glance.faults.add({ method: 'GET', path: /^\/v2\/images$/, status: 503, times: 20 });
  expect((await api.ask('GET', path)).status).toBe(502);
  api.glance.faults.clear();
});

it('reports the runs of a day, and how old the backups are', async () => {
  const { uuid } = api.pool.vms()[0] ?? { uuid: '' };
  const { body } = await create({ selector: undefined, vm: uuid });
  const { store } = api.runtime;
  const run = { scheduleId: body.id, nominal: '2026-05-05T02:00:00.000Z', backupType: 'daily' };
  const of = { pool: 'demo', vmUuid: uuid, vmName: 'web-1' };
  await store.runs.create({ ...run, ...of, jobId: randomUUID() }, 4_000_000_000);
  await store.runs.create({ ...run, nominal: '2026-05-05T03:00:00.000Z' }, 4_000_000_000);
  await store.runs.finish({ ...run, nominal: '2026-05-05T03:00:00.000Z' }, undefined, {
    outcome: 'skipped',
    reason: { name: 'RunMissed', message: 'too late' },
    finishedAt: new Date(),
  });
  const imageId = randomUUID();
  const verifiedAt = new Date(Date.now() - 7_200_000).toISOString();
  await anImage(imageId, uuid, 'web-1', verifiedAt);
  await store.backups.verified('demo', uuid, { imageId, type: 'daily', verifiedAt });
  await store.backups.verified('demo', uuid, {
    imageId: randomUUID(),
    type: 'daily',
    verifiedAt: '2026-01-01T00:00:00.000Z',
  });
  const report = (await api.ask('GET', '/reports?date=2026-05-05')).body;
  expect(report.runs).toMatchObject([
    { state: 'waiting', vm: { uuid }, reason: null },
    { state: 'skipped', vm: null, reason: { name: 'RunMissed' } },
  ]);
  expect(report.vms).toMatchObject([{ uuid, lastBackup: { imageId, verifiedAt } }]);
  expect(report.vms[0].ageHours).toBeCloseTo(2, 0);
  expect(report.due).toEqual([{ scheduleId: body.id, name: null, at: body.nextRuns[0] }]);
  expect((await api.ask('GET', '/reports')).body.runs).toEqual([]);
});

it('shows a project its own schedules and runs alone', async () => {
  const { status, body } = await askAs('a', 'POST', '/schedules', nightly);
  expect(status).toBe(201);
  const path = `/schedules/${body.id}`;
  for (const [project, seen] of [
    ['a', 200],
    ['ops', 200],
    ['b', 404],
  ] as const) {
    expect((await askAs(project, 'GET', path)).status).toBe(seen);
    expect((await askAs(project, 'GET', '/schedules')).body.schedules).toHaveLength(seen === 200 ? 1 : 0);
    expect((await askAs(project, 'GET', '/reports')).body.due).toHaveLength(seen === 200 ? 1 : 0);
  }
  expect((await askAs('b', 'DELETE', path)).status).toBe(404);
  expect((await askAs('ops', 'PUT', path, nightly)).status).toBe(200);
  expect((await api.runtime.store.schedules.get(body.id))?.project).toBe('a');
  const foreign = { ...nightly, selector: undefined, vm: api.pool.vms()[0]?.uuid };
  expect((await askAs('a', 'POST', '/schedules', foreign)).status).toBe(404);
  for (const [project, refused] of [
    ['nobody', 403],
    [undefined, 401],
  ] as const)
    for (const [method, of, sent] of [
      ['GET', '/schedules'],
      ['GET', '/reports'],
      ['GET', path],
      ['GET', `${path}/retention`],
      ['POST', '/schedules', nightly],
      ['PUT', path, nightly],
      ['DELETE', path],
    ] as const)
      expect((await askAs(project, method, of, sent)).status).toBe(refused);
});

it('answers 503 while the pool does not, and 501 for one that libvirt drives', async () => {
  const wish = { ...nightly, selector: undefined, vm: 'web' };
  const away = createApi({ ...api.runtime, withSession: () => Promise.reject(named('XapiUnreachable')) });
  const { config } = api.runtime;
  const pools = config.pools.map((pool) => ({ ...pool, driver: 'libvirt' as const }));
  const libvirt = createApi({ ...api.runtime, config: { ...config, pools } });
  const request = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(wish),
  };
  expect((await away.request('/schedules', request)).status).toBe(503);
  expect((await libvirt.request('/schedules', request)).status).toBe(501);
});

function named(name: string): Error {
  return Object.assign(new Error('nobody answers'), { name });
}
