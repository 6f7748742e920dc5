import { afterAll, beforeAll, expect, it } from 'vitest';
import { createApi } from '../../../../functions/api/app.ts';
import { OPEN_PATHS } from '../../../../functions/api/gate.ts';
import { type ServedApi, serveApi } from '../served-api.ts';

let api: ServedApi;
beforeAll(async () => {
  api = await serveApi({ pool: { vms: 0 }, config: { projects: {} } });
});
afterAll(() => api[Symbol.asyncDispose]());

it.each(['/v2.1', '/v2.1/'])('tells at %s that 2.1 is all there is', async (path) => {
  const { status, body, headers } = await api.ask('GET', path);
  expect(status).toBe(200);
  expect(body.version).toEqual({
    id: 'v2.1',
    status: 'CURRENT',
    version: '2.1',
    min_version: '2.1',
    updated: expect.any(String),
    links: [{ rel: 'self', href: `${api.url}/v2.1` }],
    'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.compute+json;version=2.1' }],
  });
  expect(headers.get('openstack-api-version')).toBe('compute 2.1');
});

it('lists the versions at the root', async () => {
  const { status, body } = await api.ask('GET', '/');
  expect(status).toBe(200);
  expect(body.versions).toContainEqual(
    expect.objectContaining({ id: 'v2.1', version: '2.1', min_version: '2.1' }),
  );
});

it('links to what a gateway in front lets everybody ask for: its routes have no slash at their end', async () => {
  const { body } = await api.ask('GET', '/');
  const links: string[] = body.versions.map(({ links: [self] }: { links: { href: string }[] }) => self?.href);
  expect(links).toHaveLength(2);
  for (const link of links) expect(OPEN_PATHS).toContain(new URL(link).pathname);
});

it('tells the versions to those who are not logged in, and nothing else', async () => {
  const app = createApi(api.runtime);
  const stranger = { event: { requestContext: {} } };
  for (const path of ['/', '/v2.1', '/v2.1/'])
    expect((await app.request(path, {}, stranger)).status).toBe(200);
  const refused = await app.request('/v2.1/servers', {}, stranger);
  expect(refused.status).toBe(401);
  expect(await refused.json()).toEqual({ unauthorized: { code: 401, message: expect.any(String) } });
});

it.each([
  [{}, 200],
  [{ 'openstack-api-version': 'compute 2.1' }, 200],
  [{ 'openstack-api-version': 'compute latest' }, 200],
  [{ 'openstack-api-version': 'image 2.15, compute 2.1' }, 200],
  [{ 'openstack-api-version': 'image 2.15' }, 200],
  [{ 'x-openstack-nova-api-version': '2.1' }, 200],
  [{ 'x-openstack-nova-api-version': 'latest' }, 200],
  [{ 'openstack-api-version': 'compute 2.1', 'x-openstack-nova-api-version': '2.90' }, 200],
  [{ 'openstack-api-version': 'compute 2.45' }, 406],
  [{ 'x-openstack-nova-api-version': '2.2' }, 406],
  [{ 'openstack-api-version': 'compute 2.0' }, 406],
  [{ 'openstack-api-version': 'compute two' }, 400],
  [{ 'openstack-api-version': 'compute 2.01' }, 400],
] as const)('answers the microversion of %j with %i', async (headers, expected) => {
  const { status, body, headers: answered } = await api.ask('GET', '/v2.1/servers', undefined, headers);
  expect(status).toBe(expected);
  expect(answered.get('x-openstack-nova-api-version')).toBe('2.1');
  expect(answered.get('vary')).toBe('OpenStack-API-Version, X-OpenStack-Nova-API-Version');
  expect(answered.get('x-openstack-request-id')).toMatch(/^req-[0-9a-f-]{36}$/);
  if (expected === 406)
    expect(body.computeFault).toEqual({
      code: 406,
      message: expect.stringContaining('Minimum is 2.1 and maximum is 2.1.'),
    });
  if (expected === 400) expect(body.badRequest.message).toContain('of invalid format');
});

it.each([
  ['GET', '/v2.1/images', 404, 'itemNotFound'],
  ['GET', '/v2.1/servers/x/y', 404, 'itemNotFound'],
  ['PUT', '/v2.1/servers', 405, 'badMethod'],
  ['POST', '/v2.1', 405, 'badMethod'],
  ['GET', '/v2.1/servers/x/action', 405, 'badMethod'],
] as const)('answers %s %s in Nova’s words', async (method, path, status, name) => {
  const answer = await api.ask(method, path);
  expect(answer.status).toBe(status);
  expect(answer.body).toEqual({ [name]: { code: status, message: expect.any(String) } });
  if (status === 405) expect(answer.headers.get('allow')).toBeTruthy();
});
