import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ServedApi, serveApi } from './served-api.ts';

let api: ServedApi;
beforeAll(async () => {
  api = await serveApi({ pool: { vms: 1 } });
});
afterAll(() => api[Symbol.asyncDispose]());

it.each([
  [{}, 'vm: is missing'],
  [{ vm: 7 }, 'vm: must be a string'],
  [{ vm: '' }, 'vm: must not be empty'],
  [{ vm: 'a\u0000b' }, 'vm: has a control character'],
  [{ vm: 'a\ud800b' }, 'vm: has a control character'],
  [{ vm: 'x'.repeat(256) }, 'vm: '],
  [{ vm: 'web-1', quiesce: 'always' }, 'quiesce: expected one of "never"|"prefer"|"require"'],
  [{ vm: 'web-1', maxSizeGib: -1 }, 'maxSizeGib: '],
  [{ vm: 'web-1', device: 300 }, 'device: must be the position of a disk, such as 0 or "1"'],
  [{ vm: 'web-1', device: ' 0' }, 'device: must be the position of a disk, such as 0 or "1"'],
  [{ vm: 'web-1', detached: 'yes' }, 'detached: expected boolean'],
  [{ vm: 'web-1', metadata: { a: 1 } }, 'metadata.a: must be a string'],
  [{ vm: 'web-1', metadata: { '': 'x' } }, 'metadata.: its key must not be empty'],
  [{ vm: 'web-1', metadata: [] }, 'metadata: expected object, received array'],
  ['{"vm": "web-1", "metadata": {"__proto__": "x"}}', 'metadata.__proto__: this key is not taken'],
  ['{"vm": "web-1", "__proto__": {}}', 'the body: there is no field "__proto__"'],
  [{ vm: 'web-1', backup: { type: 'daily', keep: -1 } }, 'backup.keep: must be at least 0'],
  [
    { vm: 'web-1', metadata: Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`k${n}`, ''])) },
    'metadata: has more than 100 entries',
  ],
  [
    { vm: 'web-1', quisce: 'never' },
    'the body: there is no field "quisce"; there is vm, pool, name, quiesce',
  ],
  [[], 'the body: expected object'],
  ['null', 'the body: expected object'],
  ['{', 'The body is not JSON.'],
  ['['.repeat(60_000), 'The body is not JSON.'],
] as const)('refuses a body and says $1', async (body, message) => {
  const answer = await api.ask('POST', '/snapshots', body);
  expect(answer.status).toBe(400);
  expect(answer.body.error.name).toBe('BadRequest');
  expect(answer.body.error.message).toContain(message);
});

it.each([
  ['limit=0', 'limit: must be at least 1'],
  ['limit=101', 'limit: must be at most 100'],
  ['limit=ten', 'limit: must be a whole number'],
  ['limit=1&limit=2', 'limit: '],
  ['status=done', 'status: expected one of "starting"|"queued"'],
  ['statsu=failed', 'the query: there is no field "statsu"'],
  ['marker=AAAA', 'marker: take it from "next"'],
  [`marker=${Buffer.from('["x","2026"]').toString('base64url')}`, 'marker: take it from "next"'],
])('refuses the query %s', async (query, message) => {
  const answer = await api.ask('GET', `/snapshots?${query}`);
  expect(answer.status).toBe(400);
  expect(answer.body.error.message).toContain(message);
});

it('refuses an Idempotency-Key of more than 255 characters', async () => {
  const answer = await api.ask('POST', '/snapshots', { vm: 'web-1' }, { 'idempotency-key': 'k'.repeat(256) });
  expect(answer.status).toBe(400);
  expect(answer.body.error.message).toBe('idempotency-key: has more than 255 characters');
});

it('wants JSON and not too much of it', async () => {
  const plain = await api.ask('POST', '/snapshots', '{}', { 'content-type': 'text/plain' });
  expect([plain.status, plain.body.error.name]).toEqual([415, 'UnsupportedMediaType']);
  const large = await api.ask('POST', '/snapshots', ' '.repeat(65_537));
  expect([large.status, large.body.error.name]).toEqual([413, 'BodyTooLarge']);
  const stream = new Blob([' '.repeat(200_000)]).stream();
  const chunked = await fetch(`${api.url}/snapshots`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: stream,
    duplex: 'half',
  } as RequestInit);
  expect(chunked.status).toBe(413);
  const empty = await api.ask('POST', '/snapshots');
  expect(empty.status).toBe(400);
});

it('names the methods that a path knows', async () => {
  const answer = await api.ask('PUT', '/snapshots', {});
  expect([answer.status, answer.body.error.name]).toEqual([405, 'MethodNotAllowed']);
  expect(answer.headers.get('allow')).toBe('GET, HEAD, POST');
  expect((await api.ask('PATCH', '/snapshots/x')).headers.get('allow')).toBe('DELETE, GET, HEAD');
  const unknown = await api.ask('GET', '/snapshot');
  expect([unknown.status, unknown.body.error.name]).toEqual([404, 'NotFound']);
});

it('tells nothing of an error that nobody foresaw, but logs it', async () => {
  const { store } = api.runtime;
  const real = store.jobs.get.bind(store.jobs);
  store.jobs.get = () => Promise.reject(new TypeError('the password is hunter2'));
  const answer = await api.ask('GET', '/snapshots/00000000-0000-4000-8000-000000000000');
  store.jobs.get = real;
  expect(answer.status).toBe(500);
  expect(answer.body.error.name).toBe('Internal');
  expect(JSON.stringify(answer.body)).not.toMatch(/hunter2|TypeError|\.ts/);
  expect(api.log.at(-1)).toContain('TypeError');
});

it.each(['/vms?pool=demo', '/hosts?name=xen1', '/doctor?pool=demo', '/janitor?last', '/schedules?vm=web-1'])(
  'refuses a parameter that does not narrow a list: GET %s',
  async (path) => {
    const { status, body } = await api.ask('GET', path);
    const [name] = path.replace(/^.*\?/, '').split('=');
    expect([status, body.error.name]).toEqual([400, 'BadRequest']);
    expect(body.error.message).toContain(`there is no field "${name}"`);
  },
);
