import { expect, it, onTestFinished } from 'vitest';
import { createAuthorizer } from '../../../functions/api/authorizer.ts';
import { parseConfig } from '../../../functions/config.ts';
import { jsonLog } from '../../../functions/log.ts';
import { createKeystone } from '../../../glance/keystone.ts';
import { CREDENTIAL, stubKeystone } from '../../glance-client/stub-keystone.ts';

/** The authorizer with a Keystone, projects a and ops, and a clock that stands still until `pass` moves it. */
async function anAuthorizer() {
  let now = new Date('2026-01-01T00:00:00Z');
  const clock = { now: () => now };
  const stub = await stubKeystone(clock.now);
  const keystone = createKeystone({
    url: stub.url,
    clock,
    applicationCredential: async () => CREDENTIAL,
    timeoutSeconds: 5,
  });
  onTestFinished(() => keystone.close());
  const config = parseConfig(
    JSON.stringify({
      installation: 'test',
      pools: [{ name: 'demo' }],
      glance: { url: 'http://127.0.0.1:9' },
      projects: { 'project-a': { vmTags: ['a'] }, 'project-ops': { admin: true } },
    }),
  );
  const logs: string[] = [];
  const authorize = createAuthorizer({ config, keystone, clock, log: jsonLog((line) => logs.push(line)) });
  return {
    stub,
    logs,
    ask: (token?: string) => authorize({ headers: token === undefined ? {} : { 'x-auth-token': token } }),
    pass(seconds: number) {
      now = new Date(now.getTime() + 1000 * seconds);
    },
  };
}

const looked = (requests: readonly string[]) => requests.filter((method) => method === 'GET').length;

it('lets in who is of a project that the configuration names, and says whose the token is', async () => {
  const { ask } = await anAuthorizer();
  expect(await ask('alice')).toEqual({
    isAuthorized: true,
    context: { projectId: 'project-a', userId: 'user-alice', admin: false },
  });
  expect(await ask('root')).toMatchObject({ context: { projectId: 'project-ops', admin: true } });
});

it.each([['mallory'], ['bob'], ['unscoped'], [''], [undefined]])('does not let in %j', async (token) => {
  const { ask } = await anAuthorizer();
  expect(await ask(token)).toEqual({ isAuthorized: false });
});

it('asks Keystone once a minute for a token, good or bad, and once for many at once', async () => {
  const { ask, stub, pass } = await anAuthorizer();
  for (const token of ['alice', 'mallory']) {
    stub.requests.length = 0;
    await Promise.all([ask(token), ask(token), ask(token)]);
    pass(59);
    await ask(token);
    expect(looked(stub.requests)).toBe(1);
    pass(1);
    await ask(token);
    expect(looked(stub.requests)).toBe(2);
  }
});

it('keeps no answer for longer than the token lives', async () => {
  const { ask, stub, pass } = await anAuthorizer();
  stub.lifetimeSeconds = 30;
  await ask('alice');
  pass(30);
  await ask('alice');
  expect(looked(stub.requests)).toBe(2);
});

it('keeps a bounded number of answers', async () => {
  const { ask, stub } = await anAuthorizer();
  await ask('alice');
  await Promise.all(Array.from({ length: 1000 }, (_, n) => ask(`guess-${n}`)));
  stub.requests.length = 0;
  await ask('alice');
  expect(looked(stub.requests)).toBe(1);
});

it('fails, rather than to refuse, while Keystone does not answer, and asks again the next time', async () => {
  const { ask, stub } = await anAuthorizer();
  stub.answer = (_req, res) => res.writeHead(503).end();
  await expect(ask('alice')).rejects.toMatchObject({ name: 'KeystoneUnavailable' });
  delete stub.answer;
  expect(await ask('alice')).toMatchObject({ isAuthorized: true });
});

it('logs who was refused, but no token', async () => {
  const { ask, logs } = await anAuthorizer();
  await ask('bob');
  await ask('planted-token');
  expect(logs.join()).toContain('"projectId":"project-b","userId":"user-bob"');
  expect(logs.join()).not.toContain('planted');
});
