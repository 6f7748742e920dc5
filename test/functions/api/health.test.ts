import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ServedApi, serveApi } from './served-api.ts';

let api: ServedApi;
beforeAll(async () => {
  api = await serveApi({ pool: { vms: 0 } });
});
afterAll(() => api[Symbol.asyncDispose]());

it('is well while table and Glance answer, whatever one failure of a pool', async () => {
  await api.runtime.store.pools.unreachable('demo', 'connection refused', new Date(Date.now() + 60_000));
  const { status, body } = await api.ask('GET', '/healthz');
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
  const { status, headers, body } = await api.ask('GET', '/healthz');
  expect(status).toBe(503);
  expect(headers.has('retry-after')).toBe(true);
  expect(body.pools).toMatchObject([{ status: 'paused', pausedUntil: until.toISOString() }]);
  await api.runtime.store.pools.reached('demo');
  expect((await api.ask('GET', '/healthz')).status).toBe(200);
});

it('says so when Glance does not answer', async () => {
  await using other = await serveApi({ pool: { vms: 0 }, config: { glance: { url: 'http://127.0.0.1:9' } } });
  const { status, body } = await other.ask('GET', '/healthz');
  expect([status, body.status, body.glance.status]).toEqual([503, 'unavailable', 'unavailable']);
  expect(body.glance.reason).toContain('127.0.0.1:9');
});
