import { expect, it, onTestFinished } from 'vitest';
import { createAuthorizer } from '../../functions/api/authorizer.ts';
import { systemClock } from '../../functions/clock.ts';
import { parseConfig } from '../../functions/config.ts';
import { jsonLog } from '../../functions/log.ts';
import { type ApplicationCredential, createKeystone, type Keystone } from '../../glance/keystone.ts';
import { failure } from '../glance-client/fake.ts';
import { REFUSALS } from '../glance-client/stub-keystone.ts';
import { type Account, anAccount, askKeystone, keystoneUrl, revoke, tokenOf } from './cloud.ts';

function clientOf(credential: ApplicationCredential): Keystone {
  const keystone = createKeystone({
    url: keystoneUrl,
    clock: systemClock,
    credential: async () => credential,
  });
  onTestFinished(() => keystone.close());
  return keystone;
}

/** What Keystone says to the credential, as the stub has it. */
async function saidTo({ id, secret }: ApplicationCredential) {
  const identity = { methods: ['application_credential'], application_credential: { id, secret } };
  const { status, body } = await askKeystone('POST', '/auth/tokens', { auth: { identity } });
  return { status, body };
}

interface Fate {
  readonly what: string;
  /** Makes it so, and answers the credential that is sent. */
  readonly happens: (account: Account, credential: ApplicationCredential) => Promise<ApplicationCredential>;
  readonly said: (account: Account, sent: ApplicationCredential) => unknown;
  readonly advice: string;
}

const same = (change: (account: Account, credential: ApplicationCredential) => Promise<unknown>) =>
  (async (account, credential) => {
    await change(account, credential);
    return credential;
  }) satisfies Fate['happens'];

const unauthorized = { said: () => REFUSALS.unauthorized, advice: 'is its secret mistyped, is it over' };
const FATES: readonly Fate[] = [
  {
    what: 'deleted',
    happens: same((account, credential) => account.deleteCredential(credential)),
    said: (_, { id }) => REFUSALS.noCredential(id),
    advice: 'was it deleted, is its id mistyped',
  },
  {
    what: 'given a mistyped id',
    happens: async (_, { secret }) => ({ id: '0123456789abcdef0123456789abcdef', secret }),
    said: (_, { id }) => REFUSALS.noCredential(id),
    advice: 'was it deleted, is its id mistyped',
  },
  {
    what: 'left empty',
    happens: async () => ({ id: '', secret: '' }),
    said: () => REFUSALS.emptyCredential,
    advice: 'is its id mistyped',
  },
  {
    what: 'of a project that is disabled',
    happens: same((account) => account.change('projects', { enabled: false })),
    said: ({ projectId }) => REFUSALS.projectDisabled(projectId),
    advice: 'is its project disabled',
  },
  {
    what: 'given a mistyped secret',
    happens: async (_, { id }) => ({ id, secret: 'planted-wrong' }),
    ...unauthorized,
  },
  {
    what: 'of a user who is disabled',
    happens: same((account) => account.change('users', { enabled: false })),
    ...unauthorized,
  },
  {
    what: 'of a user who lost its role',
    happens: same((account) => account.takeAway('member')),
    ...unauthorized,
  },
  {
    what: 'over',
    happens: async (account) => {
      const expires_at = new Date(Date.now() + 6000).toISOString().replace('Z', '');
      const credential = await account.credential({ expires_at });
      await expect.poll(() => saidTo(credential), { timeout: 30_000 }).toMatchObject({ status: 401 });
      return credential;
    },
    ...unauthorized,
  },
];

it.each(FATES)(
  'takes no credential that was $what, and says so by name',
  async ({ happens, said, advice }) => {
    const account = await anAccount(['member']);
    const first = await account.credential();
    expect(await clientOf(first).token()).not.toBe('');
    const sent = await happens(account, first);
    const { status, body } = said(account, sent) as { status: number; body: object };
    expect(await saidTo(sent)).toEqual({ status, body });
    const error = await failure(clientOf(sent).token());
    expect(error).toMatch(/^KeystoneUnauthorized: /);
    expect(error).toContain(advice);
    for (const secret of [sent.id, sent.secret].filter(Boolean)) expect(error).not.toContain(secret);
  },
);

/** The authorizer, which asks with a credential of the account, and lets in the projects. */
async function anAuthorizer(credential: ApplicationCredential, projects: object) {
  const config = parseConfig(
    JSON.stringify({
      installation: 'test',
      pools: [{ name: 'demo' }],
      glance: { url: 'http://127.0.0.1:9' },
      projects,
    }),
  );
  const keystone = clientOf(credential);
  const authorize = createAuthorizer({ config, clock: systemClock, keystone, log: jsonLog(() => {}) });
  return { keystone, ask: (token: string) => authorize({ headers: { 'x-auth-token': token } }) };
}

const REFUSED = { isAuthorized: false };

it('knows reader, member and admin, and nobody of another project or without a project', async () => {
  const service = await anAccount(['admin']);
  const reader = await anAccount(['reader']);
  const { projectId } = reader;
  const [member, admin] = [await anAccount(['member'], projectId), await anAccount(['admin'], projectId)];
  const { ask } = await anAuthorizer(await service.credential(), { [projectId]: {}, default: {} });
  for (const [account, role] of [
    [reader, 'reader'],
    [member, 'member'],
    [admin, 'admin'],
  ] as const)
    expect(await ask(await account.token())).toEqual({
      isAuthorized: true,
      context: {
        projectId,
        userId: account.userId,
        userName: account.userName,
        admin: false,
        role,
        expiresAt: expect.stringMatching(/^\d{4}-.*Z$/),
      },
    });
  expect(await ask(await (await anAccount(['member'])).token())).toEqual(REFUSED);
  expect(await ask(await member.token(null))).toEqual(REFUSED);
  expect(await ask(await tokenOf('admin', 'admin', { system: { all: true } }))).toEqual(REFUSED);
  expect(await ask('gAAAAAB-no-such-token')).toEqual(REFUSED);
});

it('lets in nobody whose token is of a credential for some calls alone, which it could not hold them to', async () => {
  const service = await anAccount(['admin']);
  const member = await anAccount(['member']);
  const { ask } = await anAuthorizer(await service.credential(), { [member.projectId]: {} });
  const access_rules = [{ service: 'compute', method: 'GET', path: '/v2.1/servers' }];
  const bound = clientOf(await member.credential({ access_rules }));
  expect(await ask(await bound.token())).toEqual(REFUSED);
});

it('lets in nobody with a token that was revoked or is over', async () => {
  const service = await anAccount(['admin']);
  const member = await anAccount(['member']);
  const { ask } = await anAuthorizer(await service.credential(), { [member.projectId]: {} });
  const token = await member.token();
  expect(await ask(token)).toMatchObject({ isAuthorized: true });
  await revoke(token);
  expect(await ask(token)).toEqual(REFUSED);
  const look = async (subject: string) => {
    const own = await clientOf(await service.credential()).token();
    const headers = { 'x-auth-token': own, 'x-subject-token': subject };
    const { status, body } = await askKeystone('GET', '/auth/tokens', undefined, headers);
    return { status, body };
  };
  expect(await look(token)).toEqual(REFUSALS.pastToken);
  expect(await look('mallory')).toEqual(REFUSALS.noToken);
  const expires_at = new Date(Date.now() + 6000).toISOString().replace('Z', '');
  const short = await clientOf(await member.credential({ expires_at })).token();
  expect(await ask(short)).toMatchObject({ isAuthorized: true });
  await expect.poll(() => ask(short), { timeout: 30_000 }).toEqual(REFUSED);
});

it('renews its own token once it was revoked, and takes no caller for a stranger where it is itself one', async () => {
  const service = await anAccount(['admin']);
  const member = await anAccount(['member']);
  const credential = await service.credential();
  const { ask, keystone } = await anAuthorizer(credential, { [member.projectId]: {} });
  const token = await member.token();
  await revoke(await keystone.token());
  expect(await ask(token)).toMatchObject({ isAuthorized: true });
  await service.deleteCredential(credential);
  for (const each of [token, 'mallory'])
    await expect(ask(each)).rejects.toMatchObject({ name: 'KeystoneUnauthorized' });
});

it('says that its credential may not ask about the tokens of others', async () => {
  const member = await anAccount(['member']);
  const other = await (await anAccount(['member'])).token();
  const error = await failure(clientOf(await member.credential()).identify(other));
  expect(error).toMatch(/^KeystoneUnauthorized: .* needs the role service, admin/);
});
