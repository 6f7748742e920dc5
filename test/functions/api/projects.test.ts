import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { createApi } from '../../../functions/api/app.ts';
import { type ServedApi, serveApi } from './served-api.ts';

let api: ServedApi;
beforeAll(async () => {
  api = await serveApi({
    pool: { vms: 0 },
    config: {
      projects: {
        a: { vmTags: ['team-a'] },
        b: { vmNamePatterns: ['db-*'] },
        ops: { admin: true },
      },
    },
  });
  await api.pool.addVm({ name: 'web', tags: ['team-a'] });
  await api.pool.addVm({ name: 'db-1' });
  await api.pool.addVm({ name: 'other' });
});
beforeEach(async () => {
  for (const vm of api.pool.vms()) {
    const holder = await api.runtime.store.leases.holderOfVm('demo', vm.uuid);
    if (holder !== undefined) await api.runtime.store.leases.releaseVm('demo', vm.uuid, holder);
  }
});
afterAll(() => api[Symbol.asyncDispose]());

/** A request as API Gateway hands it on, once its authorizer has let the caller in. */
async function ask(authorizer: object, method: string, path: string, body?: object, headers = {}) {
  const response = await createApi(api.runtime).request(
    path,
    {
      method,
      headers: { ...(body && { 'content-type': 'application/json' }), ...headers },
      ...(body && { body: JSON.stringify(body) }),
    },
    { event: { requestContext: { authorizer } } },
  );
  // biome-ignore lint/suspicious/noExplicitAny: what an answer holds is what the tests assert
  return { status: response.status, body: (await response.json()) as any };
}

const of = (projectId: string, userId = 'u', userName?: string) => ({
  lambda: { projectId, userId, userName, admin: projectId === 'ops', role: 'member' },
});
const names = ({ body }: { body: { vms: { name: string }[] } }) => body.vms.map(({ name }) => name);

it('lists a project its own VMs alone, and an admin all', async () => {
  expect(names(await ask(of('a'), 'GET', '/vms'))).toEqual(['web']);
  expect(names(await ask(of('b'), 'GET', '/vms'))).toEqual(['db-1']);
  expect(names(await ask(of('ops'), 'GET', '/vms'))).toEqual(['db-1', 'other', 'web']);
  for (const other of [{ iam: { userArn: 'arn' } }, { jwt: { claims: { iss: 'i', sub: 's' } } }])
    expect(names(await ask(other, 'GET', '/vms'))).toHaveLength(3);
});

it('takes no image of a VM that is not the project’s: it is as if it were not there', async () => {
  for (const vm of ['db-1', api.pool.vm('db-1').uuid]) {
    const { status, body } = await ask(of('a'), 'POST', '/snapshots', { vm });
    expect([status, body.error.name]).toEqual([404, 'VmNotFound']);
  }
  expect((await ask(of('ops'), 'POST', '/snapshots', { vm: 'db-1' })).status).toBe(202);
});

it('gives the image to the project, and the job to its callers alone', async () => {
  const { status, body } = await ask(of('a'), 'POST', '/snapshots', { vm: 'web' });
  expect(status).toBe(202);
  const image = await api.runtime.glance.getImage(body.id);
  expect(image).toMatchObject({ owner: 'a', visibility: 'private', properties: { xensnap_project: 'a' } });
  const path = `/snapshots/${body.id}`;
  for (const [project, seen] of [
    ['a', 200],
    ['ops', 200],
    ['b', 404],
  ] as const) {
    expect((await ask(of(project), 'GET', path)).status).toBe(seen);
    const listed = (await ask(of(project), 'GET', '/snapshots')).body.snapshots.map(
      ({ id }: { id: string }) => id,
    );
    expect(listed.includes(body.id)).toBe(seen === 200);
  }
  expect((await ask(of('b'), 'DELETE', path)).status).toBe(404);
  expect((await ask(of('a', 'another'), 'DELETE', path)).status).toBe(202);
});

it('tells who asked for a job and who cancelled it, and keeps the first who did', async () => {
  const { body } = await ask(of('a', 'u1', 'alice'), 'POST', '/snapshots', { vm: 'web' });
  expect(body).toMatchObject({ requestedBy: 'keystone:alice@a', cancelledBy: null });
  const path = `/snapshots/${body.id}`;
  await ask(of('ops', 'u2', 'bob'), 'DELETE', path);
  await ask(of('a', 'u3'), 'DELETE', path);
  expect((await ask(of('a'), 'GET', path)).body).toMatchObject({
    requestedBy: 'keystone:alice@a',
    cancelledBy: 'keystone:bob@ops',
  });
  const image = await api.runtime.glance.getImage(body.id);
  expect(JSON.stringify(image)).not.toContain('alice');
});

it('tells who made a schedule and who changed it last', async () => {
  const wish = { vm: 'web', daily: { at: '04:30' }, keep: 2 };
  const { body } = await ask(of('a', 'u1', 'alice'), 'POST', '/schedules', wish);
  expect(body).toMatchObject({ requestedBy: 'keystone:alice@a', changedBy: 'keystone:alice@a' });
  const path = `/schedules/${body.id}`;
  await ask(of('ops', 'u2', 'bob'), 'PUT', path, wish);
  expect((await ask(of('a'), 'GET', path)).body).toMatchObject({
    requestedBy: 'keystone:alice@a',
    changedBy: 'keystone:bob@ops',
  });
});

it('leaves the image with the service where the configuration says so', async () => {
  const { config } = api.runtime;
  const runtime = { ...api.runtime, config: { ...config, imagesBelongTo: 'service' as const } };
  const response = await createApi(runtime).request(
    '/snapshots',
    { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"vm":"web"}' },
    { event: { requestContext: { authorizer: of('a') } } },
  );
  const { id } = (await response.json()) as { id: string };
  const image = await api.runtime.glance.getImage(id);
  expect([image?.owner, image?.properties.xensnap_project]).toEqual([null, 'a']);
});

it('takes no metadata from a project by which Glance would delete a key of Barbican’s with our token', async () => {
  const metadata = {
    cinder_encryption_key_id: crypto.randomUUID(),
    cinder_encryption_key_deletion_policy: 'on_image_deletion',
  };
  const { uuid } = api.pool.vm('web');
  for (const [path, body] of [
    ['/snapshots', { vm: 'web', metadata }],
    [`/v2.1/servers/${uuid}/action`, { createImage: { name: 'n', metadata } }],
    [
      `/v2.1/servers/${uuid}/action`,
      { createBackup: { name: 'n', backup_type: 'daily', rotation: 1, metadata } },
    ],
  ] as const) {
    const { status, body: answer } = await ask(of('a'), 'POST', path, body);
    expect([status, JSON.stringify(answer)]).toEqual([
      400,
      expect.stringContaining('metadata.cinder_encryption_key_id: this name is reserved'),
    ]);
  }
});

it('keeps the Idempotency-Keys of callers apart', async () => {
  const key = { 'idempotency-key': 'k' };
  const first = await ask(of('a'), 'POST', '/snapshots', { vm: 'web' }, key);
  expect((await ask(of('a'), 'POST', '/snapshots', { vm: 'web' }, key)).body.id).toBe(first.body.id);
  const others = await ask(of('ops'), 'POST', '/snapshots', { vm: 'web' }, key);
  expect([others.status, others.body.error.name]).toEqual([409, 'SnapshotInProgress']);
});

it.each([
  ['GET', '/hosts'],
  ['POST', '/janitor'],
  ['GET', '/janitor'],
])('keeps %s %s to admins', async (method, path) => {
  const body = method === 'POST' ? { dryRun: true } : undefined;
  const { status, body: answer } = await ask(of('a'), method, path, body);
  expect([status, answer.error.name]).toEqual([403, 'Forbidden']);
  expect((await ask(of('ops'), method, path, body)).status).not.toBe(403);
});

it('lets nobody in whom no authorizer knows, or whose project the configuration has not', async () => {
  for (const [authorizer, status] of [
    [{}, 401],
    [{ lambda: null }, 401],
    [of('c'), 403],
    [of('toString'), 403],
  ] as const)
    for (const path of ['/vms', '/hosts', '/snapshots', `/snapshots/${crypto.randomUUID()}`])
      expect((await ask(authorizer, 'GET', path)).status, path).toBe(status);
  expect((await ask({}, 'GET', '/healthz')).status).toBe(200);
});
