import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { createApi } from '../../../../functions/api/app.ts';
import { type Answer, type ServedApi, serveApi } from '../served-api.ts';

const novaId = randomUUID();
let api: ServedApi;
let id: string;
beforeAll(async () => {
  api = await serveApi({ pool: { vms: 1 }, config: { projects: { a: { vmTags: ['a'] } } } });
  await api.pool.addVm({ name: 'nova', otherConfig: { nova_uuid: novaId } });
  await api.pool.addVm({ name: 'diskless', kind: 'noDisk' });
  await api.pool.addVm({ name: 'lvm', sr: 'lvm' });
  await api.pool.addVm({ name: 'two', disks: [{ mib: 2 }, { mib: 2, bootable: true }] });
  id = api.pool.vm('web-1').uuid;
});
beforeEach(async () => {
  for (const vm of api.pool.vms()) {
    const holder = await api.runtime.store.leases.holderOfVm('demo', vm.uuid);
    if (holder !== undefined) await api.runtime.store.leases.releaseVm('demo', vm.uuid, holder);
  }
});
afterAll(() => api[Symbol.asyncDispose]());

const act = (body: unknown, server = id, headers = {}) =>
  api.ask('POST', `/v2.1/servers/${server}/action`, body, headers);
const imageIdOf = ({ headers }: Answer) => headers.get('location')?.split('/').at(-1) ?? '';
const jobOf = async (answer: Answer) => api.runtime.store.jobs.snapshot(imageIdOf(answer));

it('takes an image as the OpenStack clients ask for it: in Glance before the answer, which is empty', async () => {
  const answer = await api.ask(
    'POST',
    `/v2.1/servers/${id}/action`,
    { createImage: { name: 'from osc', metadata: { team: 'blue' } } },
    { accept: '' },
  );
  expect([answer.status, answer.body]).toEqual([202, undefined]);
  expect(answer.headers.get('location')).toBe(`${api.glance.url}/v2/images/${imageIdOf(answer)}`);
  expect(await api.runtime.glance.getImage(imageIdOf(answer))).toMatchObject({
    name: 'from osc',
    status: 'queued',
    properties: { image_type: 'snapshot', instance_uuid: id, team: 'blue' },
  });
  expect(api.started).toContain(imageIdOf(answer));
});

it.each([
  [1, 1],
  ['7', 7],
  ['007', 7],
  [100_000, 100_000],
])('makes a backup with rotation %j', async (rotation, keep) => {
  const answer = await act({
    createBackup: { name: 'nightly', backup_type: 'daily', rotation, metadata: {} },
  });
  expect([answer.status, answer.body]).toEqual([202, undefined]);
  expect((await jobOf(answer))?.request.backup).toEqual({ type: 'daily', keep });
  expect(await api.runtime.glance.getImage(imageIdOf(answer))).toMatchObject({
    name: 'nightly',
    properties: { image_type: 'backup', backup_type: 'daily' },
  });
});

it.each([0, '0'])('names no image of a backup with rotation %j, of which none stays', async (rotation) => {
  const answer = await act({ createBackup: { name: 'none', backup_type: 'daily', rotation } });
  expect(answer.status).toBe(202);
  expect(answer.headers.has('location')).toBe(false);
  expect((await api.runtime.store.jobs.snapshot(api.started.at(-1) ?? ''))?.request.backup?.keep).toBe(0);
});

it('knows a server that Nova made by Nova’s id', async () => {
  const answer = await act({ createImage: { name: 'x' } }, novaId);
  expect((await jobOf(answer))?.vmUuid).toBe(api.pool.vm('nova').uuid);
});

it('says in which state a server is that has a job', async () => {
  const first = await act({ createImage: { name: 'first' } });
  expect(first.status).toBe(202);
  for (const [action, input] of [
    ['createImage', { name: 'second' }],
    ['createBackup', { name: 'second', backup_type: 'daily', rotation: 1 }],
  ] as const) {
    const { status, body } = await act({ [action]: input });
    expect(status).toBe(409);
    expect(body).toEqual({
      conflictingRequest: {
        code: 409,
        message: `Cannot '${action}' instance ${id} while it is in task_state image_snapshot_pending`,
      },
    });
  }
});

it('says of a server whose root disk is in doubt which disks there are', async () => {
  for (const [action, input] of [
    ['createImage', { name: 'x' }],
    ['createBackup', { name: 'x', backup_type: 'daily', rotation: 1 }],
  ] as const) {
    const { status, body } = await act({ [action]: input }, api.pool.vm('two').uuid);
    expect([status, Object.keys(body), body.conflictingRequest.code]).toEqual([
      409,
      ['conflictingRequest'],
      409,
    ]);
    expect(body.conflictingRequest.message).toMatch(/2 are marked bootable.* 0 \("two 0".*, 1 \("two 1"/);
  }
});

it('says of a server that is not there what Nova says', async () => {
  const unknown = randomUUID();
  const { status, body } = await act({ createImage: { name: 'x' } }, unknown);
  expect(status).toBe(404);
  expect(body).toEqual({ itemNotFound: { code: 404, message: `Instance ${unknown} could not be found.` } });
});

const backup = (fields: object) => ({
  createBackup: { name: 'n', backup_type: 'daily', rotation: 1, ...fields },
});
it.each([
  ['', 'Malformed request body'],
  ['{', 'Malformed request body'],
  ['[]', 'Malformed request body'],
  ['null', 'Malformed request body'],
  [{}, 'Malformed request body'],
  [{ createImage: { name: 'x' }, createBackup: {} }, 'Malformed request body'],
  [{ createImage: null }, 'field/attribute createImage.'],
  [{ createImage: {} }, 'field/attribute createImage.name.'],
  [{ createImage: { name: '' } }, 'field/attribute createImage.name.'],
  [{ createImage: { name: ' x' } }, 'begins or ends with a space'],
  [{ createImage: { name: 'x\u2028y' } }, 'cannot be printed'],
  [{ createImage: { name: 'x\u0000' } }, 'cannot be printed'],
  [{ createImage: { name: 'x'.repeat(256) } }, 'createImage.name'],
  [{ createImage: { name: 7 } }, 'createImage.name'],
  [{ createImage: { name: 'x', force: true } }, 'Additional properties are not allowed'],
  [{ createImage: { name: 'x', metadata: 'x' } }, 'createImage.metadata'],
  [{ createImage: { name: 'x', metadata: { a: 1 } } }, 'createImage.metadata.a'],
  [{ createImage: { name: 'x', metadata: { 'a/b': 'c' } } }, 'createImage.metadata'],
  [{ createImage: { name: 'x', metadata: { image_type: 'backup' } } }, 'reserved'],
  [
    {
      createImage: {
        name: 'x',
        metadata: Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`k${n}`, ''])),
      },
    },
    'more than 100 entries',
  ],
  [backup({ rotation: -1 }), 'createBackup.rotation'],
  [backup({ rotation: '-1' }), 'createBackup.rotation'],
  [backup({ rotation: 1.5 }), 'createBackup.rotation'],
  [backup({ rotation: '' }), 'createBackup.rotation'],
  [backup({ rotation: null }), 'createBackup.rotation'],
  [backup({ rotation: 1e20 }), 'createBackup.rotation'],
  [backup({ rotation: undefined }), 'createBackup.rotation'],
  [backup({ backup_type: undefined }), 'createBackup.backup_type'],
  [backup({ backup_type: 'x\ny' }), 'createBackup.backup_type'],
  [backup({ name: undefined }), 'createBackup.name'],
] as const)('refuses %j', async (sent, message) => {
  const { status, body } = await act(sent);
  expect(status).toBe(400);
  expect(body.badRequest.code).toBe(400);
  expect(body.badRequest.message).toContain(message);
});

it('refuses what cannot be imaged, and says why', async () => {
  const { status, body } = await act({ createImage: { name: 'x' } }, api.pool.vm('diskless').uuid);
  expect(status).toBe(400);
  expect(body.badRequest.message).toContain('has no disk');
});

it.each(['os-start', 'reboot', 'createimage', 'constructor', '__proto__'])(
  'does not implement the action %s',
  async (action) => {
    const { status, body } = await act(`{"${action}":null}`);
    expect(status).toBe(501);
    expect(body).toEqual({
      notImplemented: { code: 501, message: 'The requested functionality is not supported.' },
    });
  },
);

it.each([
  ['application/json; charset=utf-8', 202],
  ['application/vnd.openstack.compute+json', 202],
  ['text/plain', 415],
  ['application/xml', 415],
])('answers a body of %s with %i', async (type, status) => {
  const answer = await act({ createImage: { name: 'x' } }, id, { 'content-type': type });
  expect(answer.status).toBe(status);
  if (status === 415) expect(answer.body.badMediaType.message).toContain('Unsupported Content-Type');
});

it('refuses a body that is too large', async () => {
  const { status, body } = await act(' '.repeat(70_000));
  expect([status, body.overLimit.code]).toEqual([413, 413]);
});

it('refuses other projects as if the server were not there, and those without a project', async () => {
  const ask = (authorizer: object) =>
    createApi(api.runtime).request(
      `/v2.1/servers/${id}/action`,
      { method: 'POST', body: '{"createImage":{"name":"x"}}' },
      { event: { requestContext: { authorizer } } },
    );
  const of = (projectId: string) => ({ lambda: { projectId, userId: 'u', admin: false, role: 'member' } });
  expect((await ask(of('a'))).status).toBe(404);
  expect((await ask(of('b'))).status).toBe(403);
  expect((await ask({})).status).toBe(401);
});

it('says that Glance or the pool is away, and when to ask again', async () => {
  const { runtime } = api;
  const ask = async (changed: object) => {
    const app = createApi({ ...runtime, ...changed });
    const init = { method: 'POST', body: '{"createImage":{"name":"x"}}' };
    const response = await app.request(`/v2.1/servers/${id}/action`, init);
    return {
      status: response.status,
      retry: response.headers.get('retry-after'),
      body: await response.json(),
    };
  };
  const named = (name: string, message: string) => Object.assign(new Error(message), { name });
  const glance = (name: string) => ({
    glance: { ...runtime.glance, createImage: () => Promise.reject(named(name, `no: ${name}`)) },
  });
  const away = { withSession: () => Promise.reject(named('XapiUnreachable', 'nobody there')) };
  for (const changed of [glance('GlanceUnavailable'), glance('GlanceUnauthorized'), away])
    expect(await ask(changed)).toMatchObject({
      status: 503,
      retry: '15',
      body: { serviceUnavailable: { code: 503 } },
    });
  expect(await ask(glance('GlanceTooLarge'))).toMatchObject({
    status: 403,
    body: { forbidden: { code: 403 } },
  });
  const broken = await ask({ withSession: () => Promise.reject(new TypeError('secret.ts:1')) });
  expect(broken).toMatchObject({ status: 500, body: { computeFault: { code: 500 } } });
  expect(JSON.stringify(broken)).not.toContain('secret');
});

it('implements nothing for libvirt', async () => {
  const { config } = api.runtime;
  const pools = config.pools.map((pool) => ({ ...pool, driver: 'libvirt' as const }));
  const app = createApi({ ...api.runtime, config: { ...config, pools } });
  for (const [path, init] of [
    [`/servers/${id}/action`, { method: 'POST', body: '{"createImage":{"name":"x"}}' }],
    ['/servers', {}],
    [`/servers/${id}`, {}],
    ['/flavors', {}],
  ] as const) {
    const response = await app.request(`/v2.1${path}`, init);
    expect([response.status, await response.json()]).toMatchObject([501, { notImplemented: { code: 501 } }]);
  }
});
