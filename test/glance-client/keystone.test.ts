import { expect, it, onTestFinished } from 'vitest';
import { createKeystone, type Keystone } from '../../glance/keystone.ts';
import { aServer, failure } from './fake.ts';
import { CREDENTIAL, LOGIN, type StubKeystone, stubKeystone } from './stub-keystone.ts';

/** A Keystone, and a client whose clock stands still until `pass` moves it. */
async function aKeystone(settings: { secret?: string; path?: string; timeoutSeconds?: number } = {}) {
  let now = new Date('2026-01-01T00:00:00Z');
  const clock = { now: () => now };
  const stub = await stubKeystone(clock.now);
  const { secret = CREDENTIAL.secret, path = '', timeoutSeconds } = settings;
  const keystone = createKeystone({
    url: `${stub.url}${path}`,
    credential: async () => ({ ...CREDENTIAL, secret }),
    clock,
    timeoutSeconds,
  });
  onTestFinished(() => keystone.close());
  return {
    stub,
    keystone,
    pass(seconds: number) {
      now = new Date(now.getTime() + 1000 * seconds);
    },
  };
}

const answersWith = (stub: StubKeystone, status: number, body = '', headers = {}) => {
  stub.answer = (_req, res) => {
    res.writeHead(status, headers);
    res.end(body);
  };
};

it('asks for a token with the application credential, once for many callers', async () => {
  const { keystone, stub } = await aKeystone();
  const tokens = await Promise.all([keystone.token(), keystone.token(), keystone.token()]);
  tokens.push(await keystone.token());
  expect(new Set(tokens)).toEqual(stub.valid);
  expect(stub.requests).toEqual(['POST']);
});

it('asks for a token with user and password, and tells a refusal without the password', async () => {
  const stub = await stubKeystone();
  const login = (password: string) => {
    const credential = async () => ({ ...LOGIN, password });
    const keystone = createKeystone({ url: stub.url, credential, clock: { now: () => new Date() } });
    onTestFinished(() => keystone.close());
    return keystone;
  };
  expect([await login(LOGIN.password).token()]).toEqual([...stub.valid]);
  const said = await failure(login('planted-wrong').token());
  expect(said).toMatch(/^KeystoneUnauthorized: .*are user, password, project and their domains right\?$/);
  answersWith(stub, 400, 'no password planted-wrong');
  expect(await failure(login('planted-wrong').token())).toContain('no password (hidden)');
});

it('keeps a token until five minutes before its end', async () => {
  const { keystone, pass } = await aKeystone();
  const first = await keystone.token();
  pass(3300);
  expect(await keystone.token()).toBe(first);
  pass(1);
  expect(await keystone.token()).not.toBe(first);
});

it('uses a token that is given for less than five minutes, and asks for another the next time', async () => {
  const { keystone, stub } = await aKeystone();
  stub.lifetimeSeconds = 60;
  expect(await keystone.token()).not.toBe(await keystone.token());
  expect(stub.requests).toEqual(['POST', 'POST']);
});

it('asks for a new token once it was told to forget the present one', async () => {
  const { keystone } = await aKeystone();
  const first = await keystone.token();
  keystone.forget();
  expect(await keystone.token()).not.toBe(first);
});

it('keeps the token that it has where there is no new one to be had', async () => {
  const { keystone, stub } = await aKeystone();
  const first = await keystone.token();
  answersWith(stub, 503);
  expect(await failure(keystone.renew())).toMatch(/^KeystoneUnavailable: /);
  expect(await keystone.token()).toBe(first);
  delete stub.answer;
  const second = await keystone.renew();
  expect(second).not.toBe(first);
  expect(await keystone.token()).toBe(second);
});

it.each(['/v3', '/v3/', '/'])('takes the endpoint with %s at its end', async (path) => {
  const { keystone } = await aKeystone({ path });
  expect(await keystone.token()).toMatch(/^service-token/);
});

it('says that the credential was refused, without its secret, and asks again the next time', async () => {
  const { keystone, stub } = await aKeystone({ secret: 'planted-wrong-secret' });
  const said = await failure(keystone.token());
  expect(said).toMatch(/^KeystoneUnauthorized: .* 401 \(The request you have made requires authentication\./);
  expect(said).not.toContain('planted');
  await failure(keystone.token());
  expect(stub.requests).toHaveLength(2);
});

it.each([
  [
    'deleted',
    /^KeystoneUnauthorized: .* 404 \(Could not find Application Credential: \(hidden\)\.\); .* was it deleted/,
  ],
  [
    'project disabled',
    /^KeystoneUnauthorized: .* 404 \(Unable to validate token because .*is its project disabled/,
  ],
  ['refused', /^KeystoneUnauthorized: .* 401 .*is it over \(expires_at\), is its user disabled/],
] as const)(
  'says at once that the credential was %s, and takes one that is valid again',
  async (fate, error) => {
    const { keystone, stub } = await aKeystone();
    stub.credential = fate;
    const said = await failure(keystone.token());
    expect(said).toMatch(error);
    expect(said).toMatch(/Make one that is valid/);
    expect(said).not.toContain(CREDENTIAL.id);
    stub.credential = 'valid';
    expect(await keystone.token()).toMatch(/^service-token/);
  },
);

it.each([
  [{ id: 'cred-2', secret: CREDENTIAL.secret }, 404],
  [{ id: '', secret: '' }, 400],
])('says that the credential is wrong whose id is mistyped: %j', async (credential, status) => {
  const { url } = await stubKeystone();
  const keystone = createKeystone({
    url,
    credential: async () => credential,
    clock: { now: () => new Date() },
  });
  onTestFinished(() => keystone.close());
  const said = await failure(keystone.token());
  expect(said).toMatch(new RegExp(`^KeystoneUnauthorized: .* ${status} .*is its id mistyped`));
});

it.each<[number, string, object, RegExp]>([
  [500, 'Internal', {}, /^KeystoneUnavailable: .* 500 \(Internal\)/],
  [503, '', {}, /^KeystoneUnavailable: .* 503; look at Keystone/],
  [404, '', {}, /^KeystoneUnavailable: .* is this the URL of a Keystone v3\?/],
  [404, '<h1>Not Found</h1>', {}, /^KeystoneUnavailable: .* is this the URL of a Keystone v3\?/],
  [404, '{"message":"no Route matched"}', {}, /^KeystoneUnavailable: .* is this the URL of a Keystone v3\?/],
  [429, '{"error":{"code":429,"message":"Slow"}}', {}, /^KeystoneUnavailable: .* 429 \(Slow\); .* try later/],
  [408, '', {}, /^KeystoneUnavailable: /],
  [302, '', { location: '/' }, /^KeystoneUnavailable: /],
  [201, '{"token":{}}', { 'x-subject-token': 'planted' }, /^KeystoneUnavailable: .* is the URL right\?/],
  [201, '{}', {}, /^KeystoneUnavailable: .* is the URL right\?/],
  [401, `no ${CREDENTIAL.secret}`, {}, /^KeystoneUnauthorized: .*\(no \(hidden\)\)/],
])('names what it is when Keystone answers %i %s', async (status, body, headers, error) => {
  const { keystone, stub } = await aKeystone();
  answersWith(stub, status, body, headers);
  const said = await failure(keystone.token());
  expect(said).toMatch(error);
  expect(said).not.toContain('planted');
});

it('is unavailable when there is no connection, or no answer in time', async () => {
  const clock = { now: () => new Date() };
  const credential = async () => CREDENTIAL;
  const of = (url: string): Keystone => {
    const keystone = createKeystone({ url, clock, credential, timeoutSeconds: 0.2 });
    onTestFinished(() => keystone.close());
    return keystone;
  };
  const url = 'http://127.0.0.1:9';
  expect(await failure(of(url).token())).toContain(
    `KeystoneUnavailable: Keystone at ${url} did not answer POST`,
  );
  const silent = await aServer(() => {});
  expect(await failure(of(silent).token())).toMatch(/^KeystoneUnavailable: /);
  expect(() => of('keystone.example')).toThrow(/no http\(s\) URL of a Keystone/);
});

it("tells whose a caller's token is", async () => {
  const { keystone } = await aKeystone();
  expect(await keystone.identify('alice')).toEqual({
    userId: 'user-alice',
    userName: 'user-alice',
    projectId: 'project-a',
    projectName: 'project-a',
    roles: ['member', 'reader'],
    expiresAt: new Date('2026-01-01T01:00:00Z'),
  });
  const scopes = ['unscoped', 'of-a-domain', 'of-a-domain-as-project', 'of-the-system'];
  for (const token of scopes)
    expect(await keystone.identify(token)).toMatchObject({ projectId: undefined, projectName: undefined });
});

it('knows no identity for a token that Keystone does not know, or that cannot stand in a header', async () => {
  const { keystone, stub } = await aKeystone();
  for (const token of ['mallory', 'revoked']) expect(await keystone.identify(token)).toBeUndefined();
  stub.requests.length = 0;
  expect(await keystone.identify('a\r\nb')).toBeUndefined();
  expect(await keystone.identify('')).toBeUndefined();
  expect(stub.requests).toEqual([]);
});

it('renews its own token once when that is no longer taken', async () => {
  const { keystone, stub } = await aKeystone();
  await keystone.identify('alice');
  stub.valid.clear();
  expect((await keystone.identify('alice'))?.projectId).toBe('project-a');
  expect(stub.requests).toEqual(['POST', 'GET', 'GET', 'POST', 'GET']);
});

it.each(['deleted', 'refused', 'project disabled'] as const)(
  'takes no caller for a stranger when it is its own credential that was %s',
  async (fate) => {
    const { keystone, stub } = await aKeystone();
    await keystone.identify('alice');
    stub.credential = fate;
    for (const token of ['alice', 'mallory'])
      expect(await failure(keystone.identify(token))).toMatch(
        /^KeystoneUnauthorized: Keystone gave no token/,
      );
    stub.credential = 'valid';
    expect((await keystone.identify('alice'))?.projectId).toBe('project-a');
  },
);

it('takes no caller for a stranger because something before Keystone says 404', async () => {
  const { keystone, stub } = await aKeystone();
  await keystone.token();
  answersWith(stub, 404, '<h1>Not Found</h1>');
  expect(await failure(keystone.identify('alice'))).toMatch(/^KeystoneUnavailable: /);
});

it('says which role is missing when the credential may not look at tokens', async () => {
  const { keystone, stub } = await aKeystone();
  await keystone.token();
  answersWith(stub, 403, 'You are not authorized to perform the requested action for alice.');
  const said = await failure(keystone.identify('alice'));
  expect(said).toMatch(/^KeystoneUnauthorized: .* needs the role service/);
  expect(said).not.toContain('alice');
});
