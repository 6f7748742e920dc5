import { afterAll, beforeAll, expect, it } from 'vitest';
import { createApi } from '../../../functions/api/app.ts';
import type { AuthorizerContext } from '../../../functions/api/caller.ts';
import { type ServedApi, serveApi } from './served-api.ts';

let api: ServedApi;
beforeAll(async () => {
  api = await serveApi({ pool: { vms: 1 }, config: { projects: { ops: { admin: true } } } });
});
afterAll(() => api[Symbol.asyncDispose]());

/** A request of a caller of the project, as API Gateway hands it on with what the authorizer said, or kept of it. */
async function ask(context: Partial<AuthorizerContext>, method: string, path: string, body?: object) {
  const lambda = { projectId: 'ops', userId: 'u', admin: true, ...context };
  const response = await createApi(api.runtime).request(
    path,
    { method, headers: { 'content-type': 'application/json' }, ...(body && { body: JSON.stringify(body) }) },
    { event: { requestContext: { authorizer: { lambda } } } },
  );
  const text = await response.text();
  // biome-ignore lint/suspicious/noExplicitAny: what an answer holds is what the tests assert
  return { status: response.status, body: (text === '' ? undefined : JSON.parse(text)) as any };
}

const ANY_ID = '00000000-0000-4000-8000-000000000000';

const WRITES: readonly { readonly method: string; readonly path: string; readonly body?: object }[] = [
  { method: 'POST', path: '/snapshots', body: { vm: 'web-1' } },
  { method: 'DELETE', path: `/snapshots/${ANY_ID}` },
  { method: 'POST', path: '/schedules', body: { vm: 'web-1', cron: '0 2 * * *', keep: 1 } },
  { method: 'PUT', path: `/schedules/${ANY_ID}`, body: {} },
  { method: 'DELETE', path: `/schedules/${ANY_ID}` },
  { method: 'POST', path: '/janitor', body: {} },
  { method: 'PATCH', path: '/nothing/of/the/kind' },
  { method: 'POST', path: `/v2.1/servers/${ANY_ID}/action`, body: { createImage: { name: 'i' } } },
  { method: 'POST', path: '/v1.0/images', body: { image: { serverId: ANY_ID, name: 'i' } } },
  { method: 'POST', path: `/v1.0/servers/${ANY_ID}/backup_schedule`, body: {} },
  { method: 'DELETE', path: `/v1.0/servers/${ANY_ID}/backup_schedule` },
];

it('has a reader change nothing', async () => {
  for (const { method, path, body } of WRITES) await ask({ role: 'reader' }, method, path, body);
  expect(api.started).toEqual([]);
  expect((await ask({ role: 'member' }, 'GET', '/schedules')).body.schedules).toEqual([]);
  expect(await Array.fromAsync(api.runtime.store.jobs.open())).toEqual([]);
});

it.each(WRITES)('refuses a reader $method $path in the words of that API', async ({ method, path, body }) => {
  const refused = await ask({ role: 'reader' }, method, path, body);
  const [form] = Object.keys(refused.body);
  expect([refused.status, form]).toEqual([403, formOf(path)]);
  expect(refused.body[formOf(path)].message).toMatch(/^Your role in this project may read only\./);
  expect((await ask({ role: 'member' }, method, path, body)).status).not.toBe(403);
});

/** Where the three APIs have an error's message. */
function formOf(path: string): string {
  if (path.startsWith('/v2.1')) return 'forbidden';
  return path.startsWith('/v1.0') ? 'cloudServersFault' : 'error';
}

it.each(['/vms', '/hosts', '/snapshots', '/reports', '/v2.1/servers/detail', '/healthz'])(
  'lets a reader read %s',
  async (path) => {
    expect((await ask({ role: 'reader' }, 'GET', path)).status).toBe(200);
  },
);

it('lets a caller only read of whom an authorizer of before said no role', async () => {
  expect((await ask({}, 'POST', '/snapshots', { vm: 'web-1' })).status).toBe(403);
  expect((await ask({}, 'GET', '/vms')).status).toBe(200);
});

it('takes no token that is over by now, although API Gateway remembers it', async () => {
  const ends = (seconds: number) => ({
    role: 'admin' as const,
    expiresAt: new Date(api.runtime.clock.now().getTime() + seconds * 1000).toISOString(),
  });
  expect((await ask(ends(-70), 'GET', '/vms')).status).toBe(401);
  expect((await ask(ends(-70), 'GET', '/v2.1/servers')).status).toBe(401);
  for (const left of [-30, 30]) expect((await ask(ends(left), 'GET', '/vms')).status).toBe(200);
});
