import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { createApi } from '../../../functions/api/app.ts';
import { idempotencyOf } from '../../../functions/api/idempotency.ts';
import { type ServedApi, serveApi } from './served-api.ts';

let api: ServedApi;
let vm: string;
beforeAll(async () => {
  api = await serveApi({
    pool: { vms: 0 },
    config: { projects: { a: { admin: true }, 'a:b': { admin: true } } },
  });
  vm = (await api.pool.addVm({ name: 'web' })).uuid;
});
beforeEach(async () => {
  const holder = await api.runtime.store.leases.holderOfVm('demo', vm);
  if (holder !== undefined) await api.runtime.store.leases.releaseVm('demo', vm, holder);
});
afterAll(() => api[Symbol.asyncDispose]());

const iam = (userArn: string) => ({ iam: { userArn } });
const jwt = (claims: object) => ({ jwt: { claims: { iss: 'i', ...claims } } });
const keystone = (projectId: string, userId: string) => ({
  lambda: { projectId, userId, admin: true, role: 'member' },
});

async function ask(authorizer: object, key: string, body: object | string = { vm: 'web' }) {
  const response = await createApi(api.runtime).request(
    '/snapshots',
    {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': key },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    },
    { event: { requestContext: { authorizer } } },
  );
  // biome-ignore lint/suspicious/noExplicitAny: what an answer holds is what the tests assert
  return { status: response.status, body: (await response.json()) as any };
}

it.each([
  ['an ARN that ends as a key begins', iam('arn:a'), 'b/c', iam('arn:a/b'), 'c'],
  [
    'sessions of one role',
    iam('arn:aws:sts::1:assumed-role/ops/anna'),
    'k',
    iam('arn:aws:sts::1:assumed-role/ops'),
    'anna/k',
  ],
  ['a subject and a client', jwt({ sub: 'x' }), 'k', jwt({ client_id: 'x' }), 'k'],
  ['a subject with a slash', jwt({ sub: 'x/k' }), 'y', jwt({ sub: 'x' }), 'k/y'],
  ['users with a colon in their ids', keystone('a', 'b:c'), 'k', keystone('a:b', 'c'), 'k'],
  ['text that looks like the frame', jwt({ sub: 'x","k' }), 'y', jwt({ sub: 'x' }), 'k","y'],
])('gives no caller the job of another’s key: %s', async (_, one, key, other, otherKey) => {
  const first = await ask(one, key);
  expect(first.status).toBe(202);
  const theirs = await ask(other, otherKey);
  expect([theirs.status, theirs.body.error.name]).toEqual([409, 'SnapshotInProgress']);
  expect((await ask(one, key)).body.id).toBe(first.body.id);
});

it('answers the same request with the same job, however its body is written', async () => {
  const first = await ask(iam('arn'), 'same', { vm: 'web', device: 0, metadata: { a: '1', b: '2' } });
  expect(first.status).toBe(202);
  const again = await ask(iam('arn'), 'same', ' {"metadata":{"b":"2", "a":"1"},\n"device":"0","vm":"web"}');
  expect([again.status, again.body.id]).toEqual([202, first.body.id]);
});

it.each([
  ['another VM', { vm: 'other' }],
  ['another name', { vm: 'web', name: 'n' }],
  ['a backup in place of a snapshot', { vm: 'web', backup: { type: 'daily', keep: 1 } }],
  ['another property', { vm: 'web', metadata: { a: '2' } }],
])('refuses the same key for %s, and names the job that it stands for', async (what, body) => {
  const first = await ask(iam('arn'), what);
  const other = await ask(iam('arn'), what, body);
  expect([other.status, other.body.error.name]).toEqual([409, 'IdempotencyConflict']);
  expect(other.body.error).toMatchObject({
    jobId: first.body.id,
    message: expect.stringContaining(`the job ${first.body.id} of the VM "web"`),
  });
});

it('refuses one of two requests at once that share a key and ask for two things', async () => {
  const answers = await Promise.all([
    ask(iam('arn'), 'race', { vm: 'web' }),
    ask(iam('arn'), 'race', { vm: 'web', name: 'n' }),
  ]);
  expect(answers.map(({ status }) => status).sort()).toEqual([202, 409]);
});

it('tells apart what is nested otherwise', () => {
  const caller = { id: 'i', actor: 'i', role: 'member' } as const;
  const digests = [{ a: [['b', 'c']] }, { a: { b: 'c' } }, { a: { b: ['c'] } }, { a: 'b', c: '' }].map(
    (body) => idempotencyOf(caller, 'k', body).request,
  );
  expect(new Set(digests).size).toBe(digests.length);
});
