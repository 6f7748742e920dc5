import { afterAll, beforeAll, expect, it } from 'vitest';
import { createApi } from '../../../functions/api/app.ts';
import { RestoreView } from '../../../functions/api/restore-view.ts';
import type { ProjectConfig } from '../../../functions/config.ts';
import { aJob, aRestore } from './a-job.ts';
import { anImage } from './an-image.ts';
import { type ServedApi, serveApi } from './served-api.ts';

let api: ServedApi;
let image: string;
beforeAll(async () => {
  api = await serveApi({ pool: { vms: 1, networks: [{ name: 'front' }] } });
  image = (await anImage(api)).id;
});
afterAll(() => api[Symbol.asyncDispose]());

const ask = (body: unknown, headers = {}) => api.ask('POST', '/restores', body, headers);

it('answers 202 with the place of the job, whose execution has begun', async () => {
  const { status, headers, body } = await ask({
    image,
    name: 'copy',
    networks: { '0': 'front' },
    start: true,
  });
  expect(status).toBe(202);
  expect(RestoreView.parse(body)).toEqual(body);
  expect(body).toMatchObject({
    ...{ status: 'starting', phase: 'Requested', progress: 0, pool: 'demo', requestedBy: 'local' },
    ...{ image: { id: image, name: null }, vm: null, diskUuid: null, sr: null, start: true, owes: [] },
  });
  expect(headers.get('location')).toBe(`/restores/${body.id}`);
  expect(api.started.at(-1)).toBe(body.id);
  expect((await api.ask('GET', `/restores/${body.id}`)).body).toEqual(body);
  const { body: history } = await api.ask('GET', `/restores/${body.id}/events`);
  expect(history.events.map(({ state }: { state: string }) => state)).toEqual(['Requested']);
  const change = JSON.parse(api.log.findLast((line) => line.includes('"change"')) ?? '{}');
  expect(change).toMatchObject({ actor: 'local', path: '/restores', status: 202, jobId: body.id });
});

it.each([
  [{}, 400, 'image: is missing'],
  [{ image: 7 }, 400, 'image: must be a string'],
  [{ image: 'nightly' }, 404, 'There is no image nightly.'],
  [{ image: crypto.randomUUID() }, 404, 'There is no image '],
  [{ image: 'i', name: '' }, 400, 'name: '],
  [{ image: 'i', name: 'a\u0000b' }, 400, 'name: has a control character'],
  [{ image: 'i', macs: 'old' }, 400, 'macs: expected one of "auto"|"keep"|"new"'],
  [
    { image: 'i', networks: { eth0: 'front' } },
    400,
    "networks.eth0: its key must be an interface's position",
  ],
  [{ image: 'i', networks: { '00': 'front' } }, 400, "its key must be an interface's position"],
  [
    { image: 'i', networks: JSON.parse('{"__proto__": "front"}') },
    400,
    'networks.__proto__: this key is not taken',
  ],
  [{ image: 'i', networks: { '0': 1 } }, 400, 'networks.0: must be a string'],
  [
    { image: 'i', networks: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [n, 'front'])) },
    400,
    'networks: has more than 16 entries',
  ],
  [{ image: 'i', start: 'yes' }, 400, 'start: expected boolean'],
  [{ image: 'i', vm: 'web-1' }, 400, 'there is no field "vm"; there is image, pool, sr, name'],
  [
    { sr: 'nowhere' },
    400,
    'sr: the pool has no SR "nowhere" that you may use; there is "Local storage", "NFS shared storage".',
  ],
  [
    { networks: { '0': 'nowhere' } },
    400,
    'networks.0: the pool has no network "nowhere" that you may use; there is "front", "',
  ],
  [{ pool: 'elsewhere' }, 404, 'There is no pool "elsewhere"'],
  [{ disksOnly: true, start: true }, 400, 'disksOnly: without a VM there is nothing to start or to connect.'],
])('refuses %j with %i, and says why', async (fields, status, message) => {
  const isWhole = 'image' in fields || Object.keys(fields).length === 0;
  const { status: answered, body } = await ask(isWhole ? fields : { image, ...fields });
  expect([answered, body.error.message]).toEqual([status, expect.stringContaining(message)]);
});

it('refuses an image that is none to restore, and says what is wrong with it', async () => {
  await api.runtime.glance.createImage({
    ...{ id: crypto.randomUUID(), name: 'empty', properties: {} },
    ...{ diskFormat: 'vhd', containerFormat: 'ovf', visibility: 'private' },
  });
  const empty = api.glance.images().find(({ name }) => name === 'empty')?.id;
  const { status, body } = await ask({ image: empty });
  expect([status, body.error]).toEqual([
    409,
    {
      name: 'ImageNotRestorable',
      message: 'The image "empty" cannot be restored: it is queued, not active.',
    },
  ]);
});

it('acts once on an Idempotency-Key, which is of one request and one kind of job', async () => {
  const key = { 'idempotency-key': 'restore-1' };
  const first = await ask({ image, macs: 'new' }, key);
  const again = await ask({ macs: 'new', image }, key);
  expect([again.status, again.body.id]).toEqual([202, first.body.id]);
  const other = await ask({ image }, key);
  const snapshot = await api.ask('POST', '/snapshots', { vm: 'web-1' }, key);
  for (const { status, body } of [other, snapshot])
    expect([status, body.error.name, body.error.jobId]).toEqual([409, 'IdempotencyConflict', first.body.id]);
});

it('cancels a restore, and says why it cannot once it is committed or over', async () => {
  const { body: job } = await ask({ image });
  const cancelled = await api.ask('DELETE', `/restores/${job.id}`);
  expect([cancelled.status, cancelled.body]).toEqual([
    202,
    expect.objectContaining({ id: job.id, cancelledBy: 'local' }),
  ]);
  expect(api.stopped).toContain(job.id);
  const { body: kept } = await ask({ image });
  await api.runtime.store.jobs.commitRestore(kept.id);
  const late = await api.ask('DELETE', `/restores/${kept.id}`);
  expect([late.status, late.body.error]).toEqual([
    409,
    expect.objectContaining({
      name: 'JobCommitted',
      message: expect.stringContaining('what was made stays'),
    }),
  ]);
  await api.runtime.store.jobs.finish(kept.id, { status: 'succeeded', finishedAt: new Date(), ttl: 2e9 });
  const over = await api.ask('DELETE', `/restores/${kept.id}`);
  expect([over.status, over.body.error]).toEqual([
    409,
    { name: 'JobFinished', message: expect.stringMatching(/^The job is over: it succeeded at 20/) },
  ]);
});

it('keeps the two kinds of jobs apart, each under its own path', async () => {
  const [snapshot, restore] = [aJob(), aRestore()];
  for (const job of [snapshot, restore]) await api.runtime.store.jobs.create(job);
  for (const path of [`/restores/${snapshot.id}`, `/snapshots/${restore.id}`, '/restores/nope'])
    for (const [method, end] of [
      ['GET', ''],
      ['DELETE', ''],
      ['GET', '/events'],
    ] as const) {
      const { status, body } = await api.ask(method, `${path}${end}`);
      expect([status, body.error.name]).toEqual([404, 'JobNotFound']);
    }
});

it('lists restores newest first, by image, pool and status, page by page', async () => {
  const request = { ...aRestore().request, image: crypto.randomUUID() };
  for (const minute of [1, 2, 3, 4, 5])
    await api.runtime.store.jobs.create(
      aRestore({
        createdAt: `2026-01-01T00:0${minute}:00.000Z`,
        status: minute % 2 === 0 ? 'failed' : 'succeeded',
        pool: minute < 3 ? 'other' : 'demo',
        request,
      }),
    );
  const walk = async (query: string) => {
    const minutes: number[] = [];
    for (let marker = ''; ; ) {
      const { status, body } = await api.ask('GET', `/restores?image=${request.image}&${query}${marker}`);
      expect(status).toBe(200);
      minutes.push(...body.restores.map(({ createdAt }: RestoreView) => Number(createdAt.slice(14, 16))));
      if (body.next === null) return minutes;
      marker = `&marker=${body.next}`;
    }
  };
  expect(await walk('limit=2')).toEqual([5, 4, 3, 2, 1]);
  expect(await walk('status=failed')).toEqual([4, 2]);
  expect(await walk('pool=other&limit=1')).toEqual([2, 1]);
  const { status, body } = await api.ask('GET', '/restores?vm=web-1');
  expect([status, body.error.message]).toEqual([400, expect.stringContaining('there is no field "vm"')]);
});

const LIMITS: Pick<ProjectConfig, 'vmTags' | 'vmNamePatterns' | 'maxSchedules' | 'maxOpenJobs'> = {
  ...{ vmTags: [], vmNamePatterns: [], maxSchedules: 1, maxOpenJobs: 9 },
};

/** A request of a project's caller, as API Gateway hands it on. */
async function askAs(projectId: string, method: string, path: string, body?: object) {
  const sr = api.pool.srs.find(({ name }) => name === 'NFS shared storage')?.uuid ?? '';
  const projects: Record<string, ProjectConfig> = {
    blue: { ...LIMITS, admin: false, restore: { srs: [sr], networks: [] } },
    red: { ...LIMITS, admin: false, restore: { srs: [sr], networks: [] } },
    grey: { ...LIMITS, admin: false },
    ops: { ...LIMITS, admin: true },
  };
  const runtime = { ...api.runtime, config: { ...api.runtime.config, projects } };
  const response = await createApi(runtime).request(
    path,
    { method, ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }) },
    { event: { requestContext: { authorizer: { lambda: { projectId, userId: 'u', role: 'member' } } } } },
  );
  // biome-ignore lint/suspicious/noExplicitAny: what an answer holds is what the tests assert
  return { status: response.status, body: (await response.json()) as any };
}

it('lets a project restore what is its own, where it may, and see its own restores alone', async () => {
  const { id } = await anImage(api, { owner: 'blue' });
  expect(await askAs('blue', 'POST', '/restores', { image: id, sr: 'Local storage' })).toMatchObject({
    status: 400,
    body: { error: { message: expect.stringContaining('that you may use') } },
  });
  const refused = [
    ['red', 404, 'ImageNotFound'],
    ['grey', 404, 'ImageNotFound'],
    ['blue', 202, undefined],
  ] as const;
  for (const [project, status, name] of refused) {
    const answer = await askAs(project, 'POST', '/restores', { image: id });
    expect([answer.status, answer.body.error?.name]).toEqual([status, name]);
  }
  const grey = await anImage(api, { owner: 'grey' });
  expect(await askAs('grey', 'POST', '/restores', { image: grey.id })).toMatchObject({
    status: 403,
    body: { error: { name: 'Forbidden', message: 'Your project may not restore images.' } },
  });
  const { body: page } = await askAs('blue', 'GET', '/restores');
  expect(page.restores).toMatchObject([{ image: { id }, requestedBy: 'keystone:u@blue' }]);
  const path = `/restores/${page.restores[0].id}`;
  for (const [project, status] of [
    ['blue', 200],
    ['ops', 200],
    ['red', 404],
  ] as const)
    expect((await askAs(project, 'GET', path)).status).toBe(status);
  expect((await askAs('red', 'GET', '/restores')).body.restores).toEqual([]);
  expect((await askAs('red', 'DELETE', path)).status).toBe(404);
  expect((await askAs('blue', 'DELETE', path)).status).toBe(202);
});
