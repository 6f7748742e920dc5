import { expect, it, onTestFinished } from 'vitest';
import { createAuthorizer } from '../../../functions/api/authorizer.ts';
import { systemClock } from '../../../functions/clock.ts';
import { parseConfig } from '../../../functions/config.ts';
import { jsonLog } from '../../../functions/log.ts';
import { createKeystone } from '../../../glance/keystone.ts';
import { CREDENTIAL, stubKeystone } from '../../glance-client/stub-keystone.ts';

/** The authorizer with a Keystone, and projects a and ops. */
async function anAuthorizer(settings: object = {}, clock = systemClock) {
  const stub = await stubKeystone();
  const keystone = createKeystone({
    url: stub.url,
    clock: systemClock,
    credential: async () => CREDENTIAL,
    timeoutSeconds: 5,
  });
  onTestFinished(() => keystone.close());
  const config = parseConfig(
    JSON.stringify({
      installation: 'test',
      pools: [{ name: 'demo' }],
      glance: { url: 'http://127.0.0.1:9' },
      ...settings,
      projects: { 'project-a': { vmTags: ['a'] }, 'project-ops': { admin: true } },
    }),
  );
  const logs: string[] = [];
  const authorize = createAuthorizer({ config, clock, keystone, log: jsonLog((line) => logs.push(line)) });
  return {
    stub,
    logs,
    ask: (token?: string) => authorize({ headers: token === undefined ? {} : { 'x-auth-token': token } }),
  };
}

it('lets in who is of a project that the configuration names, and says whose the token is', async () => {
  const { ask } = await anAuthorizer();
  expect(await ask('alice')).toEqual({
    isAuthorized: true,
    context: {
      projectId: 'project-a',
      userId: 'user-alice',
      userName: 'user-alice',
      admin: false,
      role: 'member',
      expiresAt: expect.stringMatching(/^\d{4}-.*Z$/),
    },
  });
  expect(await ask('root')).toMatchObject({ context: { projectId: 'project-ops', admin: true } });
});

it('takes the highest of the roles that a token names, whatever their case', async () => {
  const { ask } = await anAuthorizer();
  expect(await ask('rita')).toMatchObject({ context: { role: 'reader' } });
  expect(await ask('alice')).toMatchObject({ context: { role: 'member' } });
  expect(await ask('root')).toMatchObject({ context: { role: 'admin' } });
  const mapped = await anAuthorizer({ roles: { reader: ['auditor'], member: ['operator'] } });
  expect(await mapped.ask('carol')).toMatchObject({ context: { role: 'reader' } });
  // The names that a setting leaves out stay; those that it replaces do not.
  expect(await mapped.ask('root')).toMatchObject({ context: { role: 'admin' } });
  expect(await mapped.ask('alice')).toEqual({ isAuthorized: false });
});

it('does not take a token that is over by our clock, but for a little', async () => {
  // The stub gives tokens an hour from its own clock.
  const in_ = (seconds: number) => ({ now: () => new Date(Date.now() + seconds * 1000) });
  const { ask, logs } = await anAuthorizer({}, in_(3670));
  expect(await ask('alice')).toEqual({ isAuthorized: false });
  expect(logs.join()).toContain('"expiresAt"');
  expect(await (await anAuthorizer({}, in_(3630))).ask('alice')).toMatchObject({ isAuthorized: true });
});

const STRANGERS = [
  ...['mallory', 'revoked', 'bob', 'carol', 'unscoped', 'of-a-domain', 'of-a-domain-as-project'],
  ...['of-the-system', '', undefined],
];

it.each(STRANGERS)('does not let in %j', async (token) => {
  const { ask } = await anAuthorizer();
  expect(await ask(token)).toEqual({ isAuthorized: false });
});

it('asks Keystone each time: the one who keeps answers is API Gateway', async () => {
  const { ask, stub } = await anAuthorizer();
  // After a refusal it also asks whether its own token is meant.
  for (const [token, each] of [
    ['alice', 1],
    ['mallory', 2],
  ] as const) {
    stub.requests.length = 0;
    await ask(token);
    await ask(token);
    expect(stub.requests.filter((method) => method === 'GET')).toHaveLength(2 * each);
  }
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
