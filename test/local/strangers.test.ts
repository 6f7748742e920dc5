import { get } from 'node:http';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ApiDocument } from '../functions/api/requests.ts';
import { askApi, type Scenario, scenario } from '../support/scenario.ts';

const closing: (() => Promise<unknown>)[] = [];
let running: Scenario;
let document: ApiDocument;
beforeAll(async () => {
  running = await scenario({ pool: { vms: 1 }, atEnd: (close) => void closing.unshift(close) });
  document = (await running.ask('GET', '/openapi.json')).body;
});
afterAll(async () => {
  for (const close of closing) await close();
});

/** The status of a request with headers that fetch would not send. */
function statusUnder(url: string, headers: Record<string, string>): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get(url, { headers }, (response) => resolve(response.resume().statusCode)).on('error', reject);
  });
}

const OPEN = ['/', '/healthz', '/v2.1', '/v1.0'];

/** Every operation of the three APIs, with a body that it would take. */
function operations() {
  const vm = running.pool.vms()[0]?.uuid ?? '';
  const bodies: Record<string, object> = {
    requestSnapshot: { vm },
    createSchedule: { vm, daily: { at: '02:00' }, keep: 1 },
    replaceSchedule: { vm, daily: { at: '02:00' }, keep: 1 },
    runJanitor: {},
    actOnComputeServer: { createImage: { name: 'x' } },
    createCloudServersImage: { image: { serverId: vm, name: 'x' } },
    saveCloudServersBackupSchedule: { backupSchedule: { enabled: true, daily: 'H_0200_0400' } },
  };
  return Object.entries(document.paths).flatMap(([template, methods]) =>
    Object.entries(methods).map(([method, { operationId }]) => ({
      template,
      method: method.toUpperCase(),
      path: template.replaceAll(/\{\w+\}/g, vm),
      body: bodies[operationId],
    })),
  );
}

it.each([
  [{}],
  [{ authorization: 'Bearer ' }],
  [{ authorization: `Bearer ${'x'.repeat(43)}` }],
  [{ 'x-auth-token': 'none' }],
  [{ authorization: 'Basic cm9vdDpyb290' }],
])('does nothing for and tells nothing to whoever sends %j', async (headers: Record<string, string>) => {
  const { service, pool, glance } = running;
  const stranger = { apiUrl: service.apiUrl, token: undefined };
  const calls = pool.calls.length;
  let refused = 0;
  for (const { template, method, path, body } of operations()) {
    if (OPEN.includes(template.replace(/(.)\/$/, '$1'))) continue;
    const answer = await askApi(stranger, method, path, body, headers);
    const shape = template.startsWith('/v') && template !== '/vms' ? ['unauthorized'] : ['error'];
    expect([method, path, answer.status, Object.keys(answer.body)]).toEqual([method, path, 401, shape]);
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    refused += 1;
  }
  expect(refused).toBeGreaterThan(20);
  // Nor by another method, or below a path that is open.
  for (const [method, path] of [
    ['POST', '/healthz'],
    ['DELETE', '/docs'],
    ['GET', '/healthz/x'],
    ['GET', '/nothing'],
    ['PUT', '/v2.1'],
  ] as const)
    expect((await askApi(stranger, method, path, undefined, headers)).status).toBe(401);
  expect(pool.calls.length).toBe(calls);
  expect(glance.images()).toEqual([]);
});

it('tells strangers in one word whether jobs can run, and which versions there are', async () => {
  const { apiUrl } = running.service;
  const stranger = { apiUrl, token: undefined };
  const health = await askApi(stranger, 'GET', '/healthz');
  expect([health.status, health.body]).toEqual([200, { status: 'ok' }]);
  expect((await running.ask('GET', '/healthz')).body).toMatchObject({ pools: [{ name: 'demo' }] });
  for (const path of ['/', '/v2.1', '/v2.1/', '/v1.0/', '/openapi.json'])
    expect((await askApi(stranger, 'GET', path)).status).toBe(200);
  expect((await fetch(`${apiUrl}/docs`)).status).toBe(200);
});

it('takes its token as a bearer and, for clients of OpenStack and Rackspace, as X-Auth-Token', async () => {
  const { apiUrl, token = '' } = running.service;
  const ways = [
    { authorization: `Bearer ${token}` },
    { authorization: `bearer ${token}` },
    { 'x-auth-token': token },
  ];
  for (const headers of ways)
    for (const path of ['/vms', '/v2.1/servers'])
      expect((await askApi({ apiUrl, token: undefined }, 'GET', path, undefined, headers)).status).toBe(200);
});

it.each(['localhost', 'evil.example', '127.0.0.1', '127.0.0.1:1', '127.0.0.1.evil.example:{port}'])(
  'is not there under the Host %s',
  async (name) => {
    for (const own of [running.service.apiUrl, running.glance.url]) {
      const host = name.replace('{port}', new URL(own).port);
      expect([own, await statusUnder(own, { host })]).toEqual([own, 421]);
    }
  },
);

it('is there under the name of a proxy that it is told of', async () => {
  const hosts = ['Proxy.example', 'tunnel.example:9000'];
  const { service, glance } = await scenario({ pool: { vms: 0 }, service: { hosts }, glance: { hosts } });
  for (const own of [service.apiUrl, glance.url]) {
    const asked = (host: string, origin = `https://${host}`) => statusUnder(own, { host, origin });
    for (const host of ['proxy.example', 'tunnel.example:9000']) expect(await asked(host)).toBeLessThan(400);
    expect(await asked('tunnel.example')).toBe(421);
    expect(await asked('proxy.example', 'https://evil.example')).toBe(403);
  }
});

it('is there under the names of this machine with its port', async () => {
  for (const own of [running.service.apiUrl, running.glance.url])
    expect((await fetch(own.replace('127.0.0.1', 'localhost'))).status).toBeLessThan(400);
});
