import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { memberAddress } from '../../xapi/address.ts';
import type { PoolClient } from '../../xapi/client.ts';
import { type MemberMemory, Members, type RememberedMembers } from '../../xapi/members.ts';
import type { Session } from '../../xapi/session.ts';
import { credentials, type Member, type Script, slaveOf, startedThings } from './members.ts';
import { type Certificate, selfSigned, success } from './raw-server.ts';

const started = startedThings();
afterEach(() => started.close());

/** What `host.get_all_records` answers of hosts with these addresses. */
const hostRecords = (addresses: readonly string[]) =>
  success(
    `<struct>${addresses
      .map(
        (address, index) =>
          `<member><name>OpaqueRef:host-${index}</name><value><struct><member><name>address</name><value>${address}</value></member></struct></value></member>`,
      )
      .join('')}</struct>`,
  );

const POOL = '0f2b6d3c-pool';

/** A member of a pool of that UUID. */
const aHost = (script: Script = {}, certificate?: Certificate, pool = POOL) => {
  const record = `<struct><member><name>uuid</name><value>${pool}</value></member></struct>`;
  const pools = `<struct><member><name>OpaqueRef:pool</name><value>${record}</value></member></struct>`;
  return started.member({ 'pool.get_all_records': () => success(pools), ...script }, certificate);
};

/** A script that names these members as the pool's; they may still be to come. */
const naming = (members: readonly Pick<Member, 'port'>[]): Script => ({
  'host.get_all_records': () => hostRecords(members.map(({ port }) => `127.0.0.1:${port}`)),
});

const learn = (session: Session) => session.call('host.get_all_records');
const look = (session: Session) => session.call('VM.get_all_records');
const logins = ({ methods }: Member) => methods.filter((method) => method.endsWith('login_with_password'));

/** The memory of a process, and what was written into it. */
function aMemory(held?: RememberedMembers) {
  const written: RememberedMembers[] = [];
  const memory: MemberMemory = {
    recall: async () => written.at(-1) ?? held,
    keep: async (known) => void written.push(known),
  };
  return { memory, written };
}

async function connectionsOf(client: PoolClient): Promise<unknown> {
  return client.withSession(credentials, look).catch((error: unknown) => error);
}

describe('a pool whose configured member dies', () => {
  it('is reached by the members that it named, in this process and in the next', async () => {
    const hosts: Member[] = [];
    const configured = await aHost(naming(hosts));
    const other = await aHost();
    hosts.push(configured, other);
    const { memory, written } = aMemory();
    const client = started.client([configured], { memory });
    await client.withSession(credentials, learn);
    const members = [configured.url, other.url];
    expect(written).toEqual([{ members, pool: POOL, master: configured.url }]);
    await configured.close();
    await client.withSession(credentials, look);
    expect(other.methods).toEqual([
      'session.login_with_password',
      'pool.get_all_records',
      'VM.get_all_records',
      'session.logout',
    ]);
    expect(written.at(-1)).toEqual({ members, pool: POOL, master: other.url });

    const next = started.client([configured], { memory });
    await next.withSession(credentials, look);
    expect(logins(other)).toHaveLength(2);
    expect(written).toHaveLength(2);
  });

  it('is asked where its master was last, before the dead one is waited for', async () => {
    const silent = await aHost({
      'session.login_with_password': () => new Promise<never>(() => {}),
    });
    const master = await aHost();
    const { memory } = aMemory({ pool: POOL, members: [], master: master.url });
    await started.client([silent], { memory }).withSession(credentials, look);
    expect(silent.connections).toBe(0);
  });

  it('is told of once: the same members again are not written again', async () => {
    const hosts: Member[] = [];
    const host = await aHost(naming(hosts));
    hosts.push(host);
    const { memory, written } = aMemory();
    const client = started.client([host], { memory });
    for (let i = 0; i < 3; i += 1) await client.withSession(credentials, learn);
    expect(written).toHaveLength(1);
  });

  it('is used also while nothing can be remembered', async () => {
    const host = await aHost();
    const broken = () => Promise.reject(new Error('no table'));
    const client = started.client([host], { memory: { recall: broken, keep: broken } });
    expect(await client.withSession(credentials, look)).toBe('');
  });

  it('is XapiUnreachable with every member that was tried, where none of them is left', async () => {
    const [one, two] = [await aHost(), await aHost()];
    await Promise.all([one.close(), two.close()]);
    const { memory } = aMemory({ pool: POOL, members: [two.url] });
    const error = await connectionsOf(started.client([one], { memory }));
    expect(error).toMatchObject({ name: 'XapiUnreachable' });
    for (const { url } of [one, two]) expect((error as Error).message).toContain(url);
  });
});

describe('a master that fails over', () => {
  it('is followed to the host that the others name', async () => {
    const hosts: Member[] = [];
    const [a, b] = [await aHost(naming(hosts)), await aHost()];
    const c = await aHost(slaveOf(b));
    hosts.push(a, c);
    const client = started.client([a]);
    await client.withSession(credentials, learn);
    await a.close();
    await client.withSession(credentials, look);
    expect(logins(c)).toHaveLength(1);
    expect(b.methods).toContain('VM.get_all_records');
  });

  it('is not waited for once more at each member that still names it', async () => {
    const hosts: Member[] = [];
    const dying = await aHost({
      ...naming(hosts),
      'session.login_with_password': (_, nth) => (nth === 1 ? success('OpaqueRef:session-1') : 'drop'),
    });
    const slaves = [await aHost(slaveOf(dying)), await aHost(slaveOf(dying))];
    hosts.push(dying, ...slaves);
    const client = started.client([dying]);
    await client.withSession(credentials, learn);
    expect(await connectionsOf(client)).toMatchObject({ name: 'XapiUnreachable' });
    expect(logins(dying)).toHaveLength(2);
    for (const slave of slaves) expect(logins(slave)).toHaveLength(1);
  });
});

describe('a member that only the pool named', () => {
  let host: ReturnType<typeof selfSigned>;
  let stranger: ReturnType<typeof selfSigned>;
  beforeAll(() => {
    host = selfSigned('host-1');
    stranger = selfSigned('stranger');
  });

  it('gets no password over another certificate: it is left out, and the next is asked', async () => {
    const dead = await aHost({}, host);
    const wrong = await aHost({}, stranger);
    const right = await aHost({}, host);
    await dead.close();
    const { memory } = aMemory({ pool: POOL, members: [wrong.url, right.url], master: wrong.url });
    const client = started.client([dead], { memory, fingerprint: host.fingerprint });
    await client.withSession(credentials, look);
    expect(wrong.bytesReceived).toBe(0);
    expect(right.methods).toContain('VM.get_all_records');
  });

  it('is named with its certificate where nobody else is left', async () => {
    const dead = await aHost({}, host);
    const wrong = await aHost({}, stranger);
    await dead.close();
    const { memory } = aMemory({ pool: POOL, members: [wrong.url] });
    const error = await connectionsOf(started.client([dead], { memory, fingerprint: host.fingerprint }));
    expect(error).toMatchObject({ name: 'XapiUnreachable' });
    expect((error as Error).message).toContain(wrong.url);
    expect((error as Error).message).toContain(stranger.fingerprint);
    expect(wrong.bytesReceived).toBe(0);
  });

  it('and is no xapi any more makes place for the next', async () => {
    const dead = await aHost();
    const printer = await aHost({ 'session.login_with_password': () => '<html>Ready</html>' });
    const right = await aHost();
    await dead.close();
    const { memory } = aMemory({ pool: POOL, members: [printer.url, right.url] });
    await started.client([dead], { memory }).withSession(credentials, look);
    expect(right.methods).toContain('VM.get_all_records');
  });

  it('and has left the pool since is not worked with, though it takes the password: it would know nothing', async () => {
    const dead = await aHost();
    const ejected = await aHost({}, undefined, 'another-pool');
    const right = await aHost();
    await dead.close();
    const { memory } = aMemory({ pool: POOL, members: [ejected.url, right.url], master: ejected.url });
    await started.client([dead], { memory }).withSession(credentials, look);
    expect(ejected.methods).toEqual([
      'session.login_with_password',
      'pool.get_all_records',
      'session.logout',
    ]);
    expect(right.methods).toContain('VM.get_all_records');
  });

  it('is not asked where it is not known of which pool it must be', async () => {
    const dead = await aHost();
    const other = await aHost();
    await dead.close();
    const { memory } = aMemory({ members: [other.url], master: other.url });
    expect(await connectionsOf(started.client([dead], { memory }))).toMatchObject({
      name: 'XapiUnreachable',
    });
    expect(other.connections).toBe(0);
  });

  /** Whom a client of these addresses would ask beside them, after a pool said this. */
  async function learned(configured: readonly string[], addresses: readonly unknown[]) {
    const members = new Members(configured.map(memberAddress));
    const records = addresses.map((address, index) => [`OpaqueRef:${index}`, { address }]);
    await members.learn(Object.fromEntries(records), async () => POOL);
    return (await members.toAsk()).learned.map(({ origin }) => origin);
  }

  it('is reached by the scheme and the port of the configured one, IPv6 too', async () => {
    expect(await learned(['https://xen1:8443'], ['10.0.0.2', '2001:db8::2'])).toEqual([
      'https://10.0.0.2:8443',
      'https://[2001:db8::2]:8443',
    ]);
    expect(await learned(['http://10.0.0.1'], ['10.0.0.1', '10.0.0.2'])).toEqual(['http://10.0.0.2']);
  });

  it('is reached by https where one of the configured ones is', async () => {
    expect(await learned(['http://xen1', 'https://xen2'], ['10.0.0.3'])).toEqual(['https://10.0.0.3']);
  });

  it.each([
    ['the address of the cloud’s metadata', '169.254.169.254'],
    ['this machine', '127.0.0.1'],
    ['this machine in IPv6', '::1'],
    ['this machine in another writing', '::ffff:127.0.0.1'],
    ['the link', 'fe80::1'],
    ['a group', '239.1.1.1'],
    ['nowhere', '0.0.0.0'],
    ['a name', 'xen2.example.com'],
    ['another port', '10.0.0.2:22'],
    ['a URL in the clear', 'http://10.0.0.2'],
    ['a user', 'root@10.0.0.2'],
    ['nothing', ''],
    ['no text', 7],
  ])('is not believed where it is %s', async (_, address) => {
    expect(await learned(['https://xen1'], [address])).not.toContain('http://10.0.0.2');
    const origins = await learned(['https://xen1'], [address, '10.0.0.9']);
    expect(origins.filter((origin) => origin !== 'https://10.0.0.2')).toEqual(['https://10.0.0.9']);
  });

  it('is one of 64 at most', async () => {
    const many = Array.from({ length: 300 }, (_, index) => `10.0.${index % 4}.${Math.floor(index / 4) + 1}`);
    expect(await learned(['https://xen1'], many)).toHaveLength(64);
  });

  it.each([
    ['no list', { pool: POOL, members: 'https://10.0.0.2' }],
    [
      'other schemes and ports',
      { pool: POOL, members: ['http://10.0.0.2', 'https://10.0.0.2:22'], master: 'http://10.0.0.3' },
    ],
    ['other things', { pool: POOL, members: [null, 7, {}, 'x'], master: 7 }],
  ])('is not believed where the memory holds %s', async (_, held) => {
    const { memory } = aMemory(held as unknown as RememberedMembers);
    const members = new Members([memberAddress('https://xen1')], memory);
    const { first, learned: others } = await members.toAsk();
    expect([...first, ...others].map(({ origin }) => origin)).toEqual(['https://xen1']);
  });
});
