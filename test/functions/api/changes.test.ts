import { afterAll, beforeAll, expect, it } from 'vitest';
import { createApi } from '../../../functions/api/app.ts';
import { type ServedApi, serveApi } from './served-api.ts';

let api: ServedApi;
let uuid: string;
beforeAll(async () => {
  api = await serveApi({ pool: { vms: 0 }, config: { projects: { a: { vmTags: ['team-a'] } } } });
  uuid = (await api.pool.addVm({ name: 'web', tags: ['team-a'] })).uuid;
});
afterAll(() => api[Symbol.asyncDispose]());

const ALICE = { lambda: { projectId: 'a', userId: 'u1', userName: 'alice', admin: false, role: 'member' } };

/** A request through API Gateway, its answer, and the lines that the log has of it. */
async function ask(method: string, path: string, body?: string, authorizer: object = ALICE) {
  api.log.length = 0;
  const response = await createApi(api.runtime).request(
    path,
    { method, ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body }) },
    { event: { requestContext: { authorizer } } },
  );
  const text = await response.text();
  const lines = api.log.map((line) => JSON.parse(line)).filter(({ message }) => message === 'change');
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text), lines };
}

it('logs who changes what in each of the three APIs, in one line, with the job', async () => {
  const made = await ask('POST', '/snapshots', '{"vm":"web"}');
  const jobId = made.body.id;
  const actor = 'keystone:alice@a';
  expect(made.lines).toMatchObject([
    { level: 'INFO', actor, method: 'POST', path: '/snapshots', status: 202, jobId },
  ]);
  const gone = await ask('DELETE', `/snapshots/${jobId}`);
  expect(gone.lines).toMatchObject([
    { actor, method: 'DELETE', path: `/snapshots/${jobId}`, status: 202, jobId },
  ]);
  await api.runtime.store.leases.releaseVm('demo', uuid, jobId);

  const action = await ask('POST', `/v2.1/servers/${uuid}/action`, '{"createImage":{"name":"n"}}');
  expect(action.lines).toMatchObject([{ actor, path: `/v2.1/servers/${uuid}/action`, status: 202 }]);
  const [{ jobId: ofNova }] = action.lines;
  expect((await api.runtime.store.jobs.get(ofNova))?.actor).toBe(actor);
  await api.runtime.store.leases.releaseVm('demo', uuid, ofNova);

  const image = await ask('POST', '/v1.0/images', JSON.stringify({ image: { serverId: uuid, name: 'n' } }));
  expect(image.lines).toMatchObject([
    { actor, path: '/v1.0/images', status: 202, jobId: image.body.image.id },
  ]);

  const schedule = await ask('POST', '/schedules', '{"vm":"web","daily":{"at":"02:00"},"keep":1}');
  expect(schedule.lines).toMatchObject([{ actor, path: '/schedules', status: 201 }]);
});

it('logs what is refused, too, and who is not known', async () => {
  expect((await ask('POST', '/snapshots', '{"vm":1}')).lines).toMatchObject([{ status: 400 }]);
  expect((await ask('POST', '/v2.1/nothing')).lines).toMatchObject([{ status: 404 }]);
  expect((await ask('PUT', '/vms')).lines).toMatchObject([{ status: 405 }]);
  const { status, lines } = await ask('POST', '/snapshots', '{"vm":"web"}', {});
  expect([status, lines]).toMatchObject([401, [{ actor: null, status: 401 }]]);
  const long = await ask('DELETE', `/snapshots/${'x'.repeat(5000)}`);
  expect(long.lines[0].path.length).toBe(200);
});

it('logs nothing of what only looks', async () => {
  for (const path of ['/vms', '/snapshots', '/v2.1/servers', '/nothing'])
    expect((await ask('GET', path)).lines).toEqual([]);
});
