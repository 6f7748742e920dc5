import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { createApi } from '../../../functions/api/app.ts';
import { type ServedApi, serveApi } from './served-api.ts';

let api: ServedApi;
beforeAll(async () => {
  api = await serveApi({ pool: { vms: 0 } });
});
afterAll(() => api[Symbol.asyncDispose]());

/** Asked of an API that has kept no answer. */
async function health(env: object = {}) {
  const response = await createApi(api.runtime).request('/healthz', {}, env);
  // biome-ignore lint/suspicious/noExplicitAny: what an answer holds is what the tests assert
  return { status: response.status, headers: response.headers, body: (await response.json()) as any };
}

it('is well while table and Glance answer, whatever one failure of a pool', async () => {
  await api.runtime.store.pools.unreachable('demo', 'connection refused', new Date(Date.now() + 60_000));
  const { status, body } = await health();
  expect(status).toBe(200);
  expect(body).toMatchObject({
    status: 'ok',
    version: '0.1.0',
    installation: 'test',
    table: 'ok',
    glance: { status: 'ok' },
    pools: [{ name: 'demo', status: 'failing', reason: 'connection refused' }],
  });
});

it('is unavailable while every pool is paused', async () => {
  const until = new Date(Date.now() + 60_000);
  for (let n = 0; n < 3; n += 1)
    await api.runtime.store.pools.unreachable('demo', 'connection refused', until);
  const { status, headers, body } = await health();
  expect(status).toBe(503);
  expect(headers.has('retry-after')).toBe(true);
  expect(body.pools).toMatchObject([{ status: 'paused', pausedUntil: until.toISOString() }]);
  await api.runtime.store.pools.reached('demo');
  expect((await health()).status).toBe(200);
});

it('says so when Glance does not answer', async () => {
  await using other = await serveApi({ pool: { vms: 0 }, config: { glance: { url: 'http://127.0.0.1:9' } } });
  const { status, body } = await other.ask('GET', '/healthz');
  expect([status, body.status, body.glance.status]).toEqual([503, 'unavailable', 'unavailable']);
  expect(body.glance.reason).toContain('127.0.0.1:9');
});

it('tells a word and no more where API Gateway lets everybody in, and to the callers of a project', async () => {
  const { config } = api.runtime;
  const projects = {
    a: { vmTags: ['x'], vmNamePatterns: [], admin: false, maxSchedules: 1, maxOpenJobs: 1 },
    ops: { vmTags: [], vmNamePatterns: [], admin: true, maxSchedules: 1, maxOpenJobs: 1 },
  };
  const app = createApi({ ...api.runtime, config: { ...config, projects } });
  const ask = async (authorizer?: object) => {
    const event = { requestContext: { ...(authorizer && { authorizer }) } };
    return (await app.request('/healthz', {}, { event })).json();
  };
  const of = (projectId: string) => ({
    lambda: { projectId, userId: 'u', admin: projectId === 'ops', role: 'member' },
  });
  expect(await ask()).toEqual({ status: 'ok' });
  expect(await ask(of('a'))).toEqual({ status: 'ok' });
  expect(await ask(of('ops'))).toMatchObject({ installation: 'test', pools: [{ name: 'demo' }] });
});

it('has no crowd ask Glance and the table: one asks, and the others hear what it hears', async () => {
  const check = vi.fn(api.runtime.glance.check);
  const read = vi.spyOn(api.runtime.store.pools, 'health');
  const app = createApi({ ...api.runtime, glance: { ...api.runtime.glance, check } });
  const answers = await Promise.all(Array.from({ length: 200 }, () => app.request('/healthz')));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  await app.request('/healthz');
  expect([check.mock.calls.length, read.mock.calls.length]).toEqual([1, 1]);
  read.mockRestore();
});
