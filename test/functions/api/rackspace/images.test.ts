import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { createApi } from '../../../../functions/api/app.ts';
import type { SnapshotJob } from '../../../../functions/job.ts';
import { aJob } from '../a-job.ts';
import { type ServedApi, serveApi } from '../served-api.ts';

let api: ServedApi;
let serverId: string;
beforeAll(async () => {
  api = await serveApi({ pool: { vms: 1 }, config: { projects: { a: { vmTags: ['a'] } } } });
  await api.pool.addVm({ name: 'diskless', kind: 'noDisk' });
  await api.pool.addVm({ name: 'two', disks: [{ mib: 2 }, { mib: 2, bootable: true }] });
  serverId = api.pool.vm('web-1').uuid;
});
beforeEach(async () => {
  const holder = await api.runtime.store.leases.holderOfVm('demo', serverId);
  if (holder !== undefined) await api.runtime.store.leases.releaseVm('demo', serverId, holder);
});
afterAll(() => api[Symbol.asyncDispose]());

const create = (image: object, headers = {}) => api.ask('POST', '/v1.0/images', { image }, headers);

it('takes an image and tells how it stands', async () => {
  const { status, body } = await create({ serverId, name: 'Just in case' });
  expect(status).toBe(202);
  expect(body).toEqual({
    image: {
      id: expect.any(String),
      serverId,
      name: 'Just in case',
      created: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      updated: body.image.created,
      status: 'QUEUED',
      progress: 0,
    },
  });
  expect(api.started).toContain(body.image.id);
  expect((await api.runtime.glance.getImage(body.image.id))?.name).toBe('Just in case');
  const shown = await api.ask('GET', `/v1.0/images/${body.image.id}`);
  expect([shown.status, shown.body]).toEqual([200, body]);
});

it.each<[Partial<SnapshotJob>, string, number]>([
  [{ phase: 'TakeVm' }, 'QUEUED', 1],
  [{ phase: 'QueueForHost', hostUuid: 'h', group: 'demo/h' }, 'QUEUED', 4],
  [{ phase: 'PollSnapshot', group: 'demo/h' }, 'PREPARING', 4],
  [{ phase: 'AwaitCoalesce', templateUuid: 't' }, 'PREPARING', 8],
  [
    { phase: 'PollUpload', templateUuid: 't', uploadAttempts: 1, bytesRead: 50, bytesTotal: 100 },
    'SAVING',
    44,
  ],
  [{ phase: 'RelockVm', committed: true }, 'ACTIVE', 100],
  [{ phase: 'DiscardImage', closing: true }, 'FAILED', 1],
  [{ phase: 'ReleaseHost', status: 'failed', finishedAt: '2026-01-01T00:10:00.000Z' }, 'FAILED', 1],
  [{ phase: 'ReleaseHost', status: 'cancelled', finishedAt: '2026-01-01T00:10:00.000Z' }, 'FAILED', 1],
])('tells of a job with %j as %s, %i %%', async (fields, status, progress) => {
  const job = aJob(fields);
  await api.runtime.store.jobs.create(job);
  const { body } = await api.ask('GET', `/v1.0/images/${job.id}`);
  expect(body.image).toMatchObject({ status, progress, serverId: job.vmUuid });
});

it('tells of an image what Glance has, once its job is over or forgotten', async () => {
  const { glance, store } = api.runtime;
  const id = randomUUID();
  const properties = { xensnap_installation: 'test', xensnap_vm: serverId, xensnap_verified: 'true' };
  await glance.createImage({
    id,
    name: 'old',
    diskFormat: 'vhd',
    containerFormat: 'ovf',
    visibility: 'private',
    properties,
  });
  const path = `/v1.0/images/${id}`;
  expect((await api.ask('GET', path)).status).toBe(404);
  await fetch(`${api.glance.url}/v2/images/${id}/file`, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream' },
    body: 'x',
  });
  expect((await api.ask('GET', path)).body.image).toMatchObject({
    id,
    serverId,
    name: 'old',
    status: 'ACTIVE',
    progress: 100,
  });
  await store.jobs.create(
    aJob({ id, status: 'succeeded', committed: true, finishedAt: '2026-01-01T01:00:00Z' }),
  );
  expect((await api.ask('GET', path)).body.image).toMatchObject({ status: 'ACTIVE', name: 'image' });
  await glance.deleteImage(id);
  expect((await api.ask('GET', path)).status).toBe(404);
});

it.each([
  [{ name: 'x' }, 400, 'image.serverId: is missing'],
  [{ serverId: 'x' }, 400, 'image.name: is missing'],
  [{ serverId: 12, name: 'x' }, 400, 'image.serverId: must be a string'],
  [{ serverId: 'x', name: '' }, 400, 'image.name'],
])('refuses %j', async (image, status, message) => {
  const answer = await create(image);
  expect([answer.status, answer.body.badRequest.code]).toEqual([status, status]);
  expect(answer.body.badRequest.message).toContain(message);
});

it('answers in the faults of its guide', async () => {
  expect((await create({ serverId: randomUUID(), name: 'x' })).body).toMatchObject({
    itemNotFound: { code: 404 },
  });
  const diskless = await create({ serverId: api.pool.vm('diskless').uuid, name: 'x' });
  expect(diskless.body).toMatchObject({
    badRequest: { code: 400, message: expect.stringContaining('no disk') },
  });
  const doubtful = await create({ serverId: api.pool.vm('two').uuid, name: 'x' });
  expect([doubtful.status, doubtful.body]).toMatchObject([
    400,
    { badRequest: { code: 400, message: expect.stringMatching(/0 \("two 0".*, 1 \("two 1"/) } },
  ]);
  expect((await create({ serverId, name: 'x' })).status).toBe(202);
  const busy = await create({ serverId, name: 'x' });
  expect([busy.status, busy.body]).toMatchObject([409, { backupOrResizeInProgress: { code: 409 } }]);
  for (const [method, path, status, name] of [
    ['GET', '/v1.0/images/none', 404, 'itemNotFound'],
    ['GET', `/v1.0/images/${randomUUID()}`, 404, 'itemNotFound'],
    ['GET', '/v1.0/servers', 404, 'itemNotFound'],
    ['PUT', '/v1.0/images', 405, 'badMethod'],
  ] as const) {
    const { status: answered, body } = await api.ask(method, path);
    expect([answered, body]).toEqual([status, { [name]: { code: status, message: expect.any(String) } }]);
  }
  const broken = await api.ask('POST', '/v1.0/images', '{');
  expect([broken.status, broken.body.badRequest.message]).toEqual([400, 'Malformed request body']);
  const large = await api.ask('POST', '/v1.0/images', ' '.repeat(70_000));
  expect([large.status, large.body.overLimit.code]).toEqual([413, 413]);
});

it('speaks JSON only, and says so', async () => {
  const xml = await create({}, { 'content-type': 'application/xml' });
  expect([xml.status, xml.body.badMediaType.message]).toEqual([
    415,
    expect.stringContaining('application/json only'),
  ]);
  const wanted = await api.ask('GET', '/v1.0/images/x', undefined, { accept: 'application/xml' });
  expect([wanted.status, wanted.body.cloudServersFault.message]).toEqual([
    406,
    expect.stringContaining('application/json only'),
  ]);
  for (const accept of ['application/json', 'application/xml, */*;q=0.1', 'application/*', ''])
    expect((await api.ask('GET', '/v1.0', undefined, { accept })).status).toBe(200);
});

it('shows a project its own images alone, and strangers nothing but the version', async () => {
  const job = aJob({ project: 'b' });
  await api.runtime.store.jobs.create(job);
  const ask = (path: string, authorizer: object, init = {}) =>
    createApi(api.runtime).request(path, init, { event: { requestContext: { authorizer } } });
  const of = (projectId: string) => ({ lambda: { projectId, userId: 'u', admin: false, role: 'member' } });
  expect((await ask(`/v1.0/images/${job.id}`, of('a'))).status).toBe(404);
  const post = { method: 'POST', body: JSON.stringify({ image: { serverId, name: 'x' } }) };
  expect((await ask('/v1.0/images', of('a'), post)).status).toBe(404);
  const forbidden = await ask('/v1.0/images', of('c'), post);
  expect([forbidden.status, await forbidden.json()]).toMatchObject([
    403,
    { cloudServersFault: { code: 403 } },
  ]);
  expect((await ask('/v1.0/images', {}, post)).status).toBe(401);
  expect((await ask('/v1.0/', {})).status).toBe(200);
});

it('implements nothing for libvirt, and says when the pool is away', async () => {
  const { config } = api.runtime;
  const post = { method: 'POST', body: JSON.stringify({ image: { serverId, name: 'x' } }) };
  const pools = config.pools.map((pool) => ({ ...pool, driver: 'libvirt' as const }));
  const libvirt = await createApi({ ...api.runtime, config: { ...config, pools } }).request(
    '/v1.0/images',
    post,
  );
  expect([libvirt.status, await libvirt.json()]).toMatchObject([501, { notImplemented: { code: 501 } }]);
  const error = Object.assign(new Error('nobody there'), { name: 'XapiUnreachable' });
  const away = await createApi({ ...api.runtime, withSession: () => Promise.reject(error) }).request(
    '/v1.0/images',
    post,
  );
  expect([away.status, away.headers.get('retry-after')]).toEqual([503, '15']);
  expect(await away.json()).toMatchObject({ serviceUnavailable: { code: 503 } });
  const broken = await createApi({
    ...api.runtime,
    withSession: () => Promise.reject(new TypeError('x')),
  }).request('/v1.0/images', post);
  expect([broken.status, await broken.json()]).toMatchObject([500, { cloudServersFault: { code: 500 } }]);
});
