import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { credentials, slaveOf, startedThings } from './members.ts';
import { failure, http, selfSigned, startRawServer, success } from './raw-server.ts';

const started = startedThings();
afterEach(() => started.close());

const GET_ALL = 'VM.get_all';
const noVms = () => success('<array><data></data></array>');

describe('a session', () => {
  it('is none when nothing is called', async () => {
    const host = await started.member();
    expect(await started.client([host]).withSession(credentials, async () => 'done')).toBe('done');
    expect(host.connections).toBe(0);
  });

  it('begins with the first call, under our originator, and ends with a logout', async () => {
    const host = await started.member({ [GET_ALL]: noVms });
    const calls: string[] = [];
    const client = started.client([host], { onCall: (method) => calls.push(method) });
    const count = await client.withSession(credentials, async (session) => {
      expect(await session.call(GET_ALL)).toEqual([]);
      return session.callCount;
    });
    expect(count).toBe(2);
    expect(calls).toEqual(['session.login_with_password', GET_ALL, 'session.logout']);
    expect(host.methods).toEqual(calls);
    const strings = host.requests[0]?.body.match(/(?<=<string>)[^<]*/g);
    expect(strings).toEqual(['root', 'hunter2', '1.0', 'xensnap']);
    expect(host.sessions).toEqual(new Set());
  });

  it('is logged out after an error too, which comes through unchanged', async () => {
    const host = await started.member();
    const error = new Error('the step failed');
    const run = started.client([host]).withSession(credentials, async (session) => {
      await session.call(GET_ALL);
      throw error;
    });
    await expect(run).rejects.toBe(error);
    expect(host.sessions).toEqual(new Set());
  });

  it.each([
    ['fails', failure('INTERNAL_ERROR', 'x')],
    ['is dropped', 'drop'],
  ])('gives its result although the logout %s', async (_, answer) => {
    const host = await started.member({ 'session.logout': () => answer });
    const run = started.client([host]).withSession(credentials, async (session) => {
      await session.call(GET_ALL);
      return 'done';
    });
    expect(await run).toBe('done');
  });

  it('asks for credentials at each login, where they are a function', async () => {
    const host = await started.member();
    const client = started.client([host]);
    let asked = 0;
    const source = async () => {
      asked += 1;
      return { username: 'root', password: `password-${asked}` };
    };
    for (let i = 0; i < 2; i += 1) await client.withSession(source, (session) => session.call(GET_ALL));
    const logins = host.requests.filter(({ method }) => method.includes('login'));
    expect(logins.map(({ body }) => /password-\d/.exec(body)?.[0])).toEqual(['password-1', 'password-2']);
  });

  it('is the one of its own of two that run at once', async () => {
    const host = await started.member();
    const client = started.client([host]);
    let meet = () => {};
    const met = new Promise<void>((resolve) => {
      meet = resolve;
    });
    let inside = 0;
    const run = () =>
      client.withSession(credentials, async (session) => {
        await session.call(GET_ALL);
        inside += 1;
        if (inside === 2) meet();
        await met;
        await session.call(GET_ALL);
        return session.callCount;
      });
    expect(await Promise.all([run(), run()])).toEqual([3, 3]);
    expect(host.methods.filter((method) => method.includes('login'))).toHaveLength(2);
    expect(host.sessions).toEqual(new Set());
  });

  it('ends no later than its function: a call that was left behind is refused, and leaves no session', async () => {
    const host = await started.member();
    let leftBehind: Promise<unknown> = Promise.resolve();
    await started.client([host]).withSession(credentials, async (session) => {
      leftBehind = session.call(GET_ALL).catch((error: unknown) => error);
    });
    expect(await leftBehind).toMatchObject({ message: 'the session is over' });
    expect(host.methods).toEqual(['session.login_with_password', 'session.logout']);
  });

  it('ends when its signal is aborted, and is logged out all the same', async () => {
    const abort = new AbortController();
    const host = await started.member();
    const run = started.client([host]).withSession(
      credentials,
      async (session) => {
        await session.call(GET_ALL);
        abort.abort(new Error('closing'));
        await session.call(GET_ALL);
      },
      { signal: abort.signal },
    );
    await expect(run).rejects.toThrow('closing');
    expect(host.methods).toEqual(['session.login_with_password', GET_ALL, 'session.logout']);
  });
});

describe('a wrong password', () => {
  it('is the pool’s own error, and the password is not in it', async () => {
    const host = await started.member({
      'session.login_with_password': () => failure('SESSION_AUTHENTICATION_FAILED', 'root', 'not hunter2'),
    });
    const error: unknown = await started
      .client([host])
      .withSession(credentials, (session) => session.call(GET_ALL))
      .catch((caught: unknown) => caught);
    expect(error).toMatchObject({ name: 'XapiError', code: 'SESSION_AUTHENTICATION_FAILED' });
    expect(JSON.stringify([error, String(error), (error as Error).stack])).not.toContain('hunter2');
    expect(host.methods).toEqual(['session.login_with_password']);
  });
});

describe('a member', () => {
  it('sends to its master, who is asked first from then on', async () => {
    const master = await started.member();
    const slave = await started.member(slaveOf(master));
    const client = started.client([slave, master]);
    for (let i = 0; i < 2; i += 1) await client.withSession(credentials, (session) => session.call(GET_ALL));
    expect(slave.methods).toEqual(['session.login_with_password']);
    expect(master.methods.filter((method) => method === GET_ALL)).toHaveLength(2);
    expect(master.sessions).toEqual(new Set());
  });

  it('that has become one in the middle of a session passes on the call, with the same session', async () => {
    const newMaster = await started.member();
    const oldMaster = await started.member({
      'VM.destroy': () => failure('HOST_IS_SLAVE', `127.0.0.1:${newMaster.port}`),
    });
    await started.client([oldMaster]).withSession(credentials, async (session) => {
      await session.call('VM.destroy', 'OpaqueRef:1' as never);
      await session.call(GET_ALL);
    });
    expect(oldMaster.methods).toEqual(['session.login_with_password', 'VM.destroy']);
    expect(newMaster.methods).toEqual(['VM.destroy', GET_ALL, 'session.logout']);
  });

  it('that sends in a circle is left after three hops', async () => {
    const self = { port: 0 };
    const host = await started.member({
      'session.login_with_password': () => failure('HOST_IS_SLAVE', `127.0.0.1:${self.port}`),
    });
    self.port = host.port;
    const run = started.client([host]).withSession(credentials, (session) => session.call(GET_ALL));
    await expect(run).rejects.toMatchObject({ code: 'HOST_IS_SLAVE' });
    expect(host.methods).toHaveLength(4);
  });
});

describe('a member that is away', () => {
  const aClosedMember = async () => {
    const member = await startRawServer(() => undefined);
    await member.close();
    return member;
  };
  const booting = () =>
    started.member({ 'session.login_with_password': () => failure('HOST_STILL_BOOTING') });
  const hangingUp = () => started.member({ 'session.login_with_password': () => 'drop' });

  it.each([
    ['closed', aClosedMember],
    ['still booting', booting],
    ['hanging up', hangingUp],
  ])('(%s) makes place for the next', async (_, absent) => {
    const [first, second] = [await absent(), await started.member()];
    await started.client([first, second]).withSession(credentials, (session) => session.call(GET_ALL));
    expect(second.methods).toEqual(['session.login_with_password', GET_ALL, 'session.logout']);
  });

  it('and was the master makes place for the members that were configured', async () => {
    const successor = await started.member();
    const master = await started.member();
    const slave = await started.member({
      'session.login_with_password': (_, nth) =>
        failure('HOST_IS_SLAVE', `127.0.0.1:${nth === 1 ? master.port : successor.port}`),
    });
    const client = started.client([slave]);
    await client.withSession(credentials, (session) => session.call(GET_ALL));
    await master.close();
    await client.withSession(credentials, (session) => session.call(GET_ALL));
    expect(successor.methods).toContain(GET_ALL);
  });

  it('like all the others makes the pool XapiUnreachable, with every reason', async () => {
    const members = [await aClosedMember(), await booting()];
    const run = started.client(members).withSession(credentials, (session) => session.call(GET_ALL));
    await expect(run).rejects.toMatchObject({
      name: 'XapiUnreachable',
      message: expect.stringMatching(/no login at .*ECONNREFUSED.*HOST_STILL_BOOTING/),
      cause: expect.any(AggregateError),
    });
  });

  it('makes a pool of one XapiUnreachable also while it boots, with the refusal as the cause', async () => {
    const run = started
      .client([await booting()])
      .withSession(credentials, (session) => session.call(GET_ALL));
    await expect(run).rejects.toMatchObject({
      name: 'XapiUnreachable',
      cause: { name: 'XapiError', code: 'HOST_STILL_BOOTING' },
    });
  });

  it.each([
    ['HTTP 500', http('', 'HTTP/1.1 500 Internal Server Error')],
    ['HTTP 503', http('', 'HTTP/1.1 503 Service Unavailable')],
    ['no XML-RPC', http('<html>')],
    ['no session', success('<array><data></data></array>')],
  ])(
    'by its answer to the login, %s, makes place for the next, and no call is taken for sent',
    async (_what, bytes) => {
      const script = { 'session.login_with_password': () => (bytes.startsWith('HTTP') ? { bytes } : bytes) };
      const [odd, second] = [await started.member(script), await started.member()];
      await started.client([odd, second]).withSession(credentials, (session) => session.call(GET_ALL));
      expect(second.methods).toContain(GET_ALL);
      const run = started.client([odd]).withSession(credentials, (session) => session.call(GET_ALL));
      await expect(run).rejects.toMatchObject({
        name: 'XapiUnreachable',
        cause: { name: 'XapiProtocolError' },
      });
      expect(odd.methods).not.toContain(GET_ALL);
    },
  );

  it('while its signal is aborted makes place for nobody', async () => {
    const abort = new AbortController();
    const first = await started.member({
      'session.login_with_password': () => {
        abort.abort(new Error('closing'));
        return 'drop';
      },
    });
    const second = await started.member();
    const run = started
      .client([first, second])
      .withSession(credentials, (session) => session.call(GET_ALL), { signal: abort.signal });
    // Nothing but the login was sent, so that nobody takes the call for under way.
    await expect(run).rejects.toMatchObject({ name: 'XapiUnreachable', cause: { name: 'XapiReplyLost' } });
    expect(first.methods).toEqual(['session.login_with_password']);
    expect(second.connections).toBe(0);
  });
});

describe('over TLS', () => {
  let host: ReturnType<typeof selfSigned>;
  let stranger: ReturnType<typeof selfSigned>;
  beforeAll(() => {
    host = selfSigned('host-1');
    stranger = selfSigned('stranger');
  });

  it('a pool is reached by the fingerprints of its members', async () => {
    const master = await started.member({}, host);
    const slave = await started.member(slaveOf(master), stranger);
    const fingerprint = [stranger.fingerprint, host.fingerprint.toLowerCase()];
    await started
      .client([slave], { fingerprint })
      .withSession(credentials, (session) => session.call(GET_ALL));
    expect(master.methods).toContain(GET_ALL);
  });

  it('a member with another certificate gets no password, and no other member is asked instead', async () => {
    const first = await started.member({}, stranger);
    const second = await started.member({}, host);
    const run = started
      .client([first, second], { fingerprint: host.fingerprint })
      .withSession(credentials, (session) => session.call(GET_ALL));
    await expect(run).rejects.toMatchObject({
      name: 'XapiCertificateMismatch',
      cause: { actual: stranger.fingerprint },
    });
    expect([first.bytesReceived, second.connections]).toEqual([0, 0]);
  });
});

it.each([
  ['no address', [], {}],
  ['an address that is none', ['ftp://xen1'], {}],
  ['a fingerprint that is none', ['https://xen1'], { fingerprint: 'AB:CD' }],
  ['a CA that is none', ['https://xen1'], { ca: '/etc/ssl/ca.pem' }],
  ['a fingerprint without TLS', ['http://xen1'], { fingerprint: '0'.repeat(64) }],
])('a client is refused with %s', (_, addresses, options) => {
  expect(() =>
    started.client(
      addresses.map((url) => ({ url })),
      options,
    ),
  ).toThrow(TypeError);
});
