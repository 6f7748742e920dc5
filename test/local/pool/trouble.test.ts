import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { expect, it } from 'vitest';
import { startPool } from '../../../local/pool/pool.ts';
import { decodeCall, encodeValue } from '../../../local/pool/wire/xmlrpc.ts';
import { aPool, until } from './a-pool.ts';
import { vmRecord } from './a-vm-record.ts';
import { logIn, request, type TestClient } from './client.ts';

it('fails, delays and cuts the calls that it is told to', async () => {
  await using world = await aPool();
  const { pool, client } = world;
  const vm = pool.vm('web-1').ref;
  const takeBack = pool.faults.add({ method: 'VM.get_uuid', skip: 1, times: 1, code: 'HOST_STILL_BOOTING' });
  await client.call('VM.get_uuid', vm);
  expect(await client.fails('VM.get_uuid', vm)).toEqual(['HOST_STILL_BOOTING']);
  await client.call('VM.get_uuid', vm);
  takeBack();
  pool.faults.add({ method: 'VM.snapshot', times: 1, drop: 'after' });
  await expect(client.call('Async.VM.snapshot', vm, 'lost')).rejects.toThrow(/hang up|ECONNRESET/);
  await until(() => (pool.record('VM', vm).snapshots as string[]).length === 1);
  pool.faults.add({
    method: /^VM\.snapshot$/,
    times: 1,
    drop: 'before',
    when: (args) => args[2] === 'never',
  });
  await expect(client.call('VM.snapshot', vm, 'never')).rejects.toThrow(/hang up|ECONNRESET/);
  expect(pool.record('VM', vm).snapshots).toHaveLength(1);
  expect(pool.calls.filter(({ error }) => error === 'connection cut')).toHaveLength(2);
});

it('logs every call without its secrets', async () => {
  await using world = await aPool();
  const { pool, client } = world;
  await client.call('secret.create', { value: 'token', other_config: { job: 'x' } });
  const log = JSON.stringify(pool.calls);
  for (const secret of [pool.password, client.session, 'token']) expect(log).not.toContain(secret);
  expect(pool.calls.at(-1)).toMatchObject({
    method: 'secret.create',
    args: ['<session>', { value: '<secret>', other_config: { job: 'x' } }],
    originator: 'test',
    channel: 'tcp',
    host: 'xen1',
  });
});

it('goes away and comes back on the same address', async () => {
  await using world = await aPool();
  const { pool, client } = world;
  await pool.setReachable(false);
  await expect(client.call('VM.get_all')).rejects.toThrow('ECONNREFUSED');
  await pool.setReachable(true);
  expect(await client.call('VM.get_all')).not.toHaveLength(0);
});

/** A certificate that a host signs for itself. */
async function selfSigned(commonName: string): Promise<{ key: string; cert: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'tls-'));
  const [key, cert] = [join(folder, 'key'), join(folder, 'cert')];
  const subject = ['-subj', `/CN=${commonName}`, '-addext', 'subjectAltName=IP:127.0.0.1'];
  spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert],
    ...subject,
  ]);
  const pair = { key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') };
  await rm(folder, { recursive: true });
  return pair;
}

const commonNameAt = (url: string, ca: string): Promise<string | undefined> =>
  new Promise((resolve, reject) => {
    const sent = httpsRequest(url, { ca, agent: false }, (response) => {
      response.resume();
      resolve(String((response.socket as TLSSocket).getPeerCertificate().subject.CN));
    });
    sent.on('error', reject).end();
  });

it.runIf(spawnSync('openssl', ['version']).status === 0)(
  'speaks TLS with the certificate it is given, and with another once that is renewed',
  async () => {
    const [first, second] = [await selfSigned('first'), await selfSigned('second')];
    const dataDir = await mkdtemp(join(tmpdir(), 'pool-'));
    const pool = await startPool({ dataDir, vms: 0, tls: first });
    expect(await commonNameAt(pool.url, first.cert)).toBe('first');
    pool.renewCertificate(second);
    await expect(commonNameAt(pool.url, first.cert)).rejects.toThrow('self-signed certificate');
    for (const url of [pool.url, ...pool.memberUrls])
      expect(await commonNameAt(url, second.cert)).toBe('second');
    await pool.close();
    await rm(dataDir, { recursive: true });
  },
);

it('sees what is left behind', async () => {
  await using world = await aPool();
  const { pool, client } = world;
  const before = await pool.inventory();
  const vm = pool.vm('web-1');
  await client.call('VM.set_xenstore_data', vm.ref, {});
  await client.call('secret.create', { value: 'x', other_config: {} });
  await client.call('task.create', 'mine', '');
  const snapshot = await client.call('VM.snapshot', vm.ref, 'left');
  const after = await pool.inventory();
  expect(after.locks[vm.uuid]).toEqual({ live: null, database: null });
  expect(after.secrets).toHaveLength(before.secrets.length + 1);
  expect(after.tasks).toEqual(['mine']);
  expect(after.vms.find(({ name }) => name === 'left')?.isSnapshot).toBe(true);
  expect(after.vdis).toHaveLength(before.vdis.length + 1);
  expect(Object.values(after.files).flat()).toHaveLength(Object.values(before.files).flat().length + 1);
  expect(snapshot).toMatch(/^OpaqueRef:/);
});

/** One call over a control domain's socket: status and text of the answer. */
const overSocket = (dom0Root: string, method: string, ...params: string[]): Promise<[number, string]> =>
  new Promise((resolve, reject) => {
    const values = params.map((param) => `<param>${encodeValue(param)}</param>`).join('');
    const body = `<methodCall><methodName>${method}</methodName><params>${values}</params></methodCall>`;
    const headers = { 'content-length': body.length };
    const socketPath = `${dom0Root}/var/lib/xcp/xapi`;
    const sent = httpRequest({ socketPath, method: 'POST', headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve([response.statusCode ?? 0, text]));
    });
    sent.on('error', reject);
    sent.end(body);
  });

it('lets a control domain in over its socket with any password, on a member as on the master', async () => {
  await using world = await aPool({ hosts: 2 });
  const { pool } = world;
  for (const { dom0Root, uuid } of pool.hosts) {
    const [, login] = await overSocket(dom0Root, 'session.login_with_password', 'root', '');
    const session = /OpaqueRef:[0-9a-f-]+/.exec(login)?.[0] ?? '';
    const [, answer] = await overSocket(dom0Root, 'host.get_by_uuid', session, uuid);
    expect(answer).toContain('<value>Success</value>');
  }
  expect(decodeCall('<methodCall><methodName>a.b</methodName></methodCall>')).toEqual({
    method: 'a.b',
    params: [],
  });
});

it('has no answer on a member’s socket while there is no master', async () => {
  await using world = await aPool({ hosts: 2 });
  const { pool } = world;
  const [master, member] = pool.hosts;
  await pool.setHost(master?.uuid ?? '', { live: false });
  const login = ['session.login_with_password', 'root', ''] as const;
  expect((await overSocket(member?.dom0Root ?? '', ...login))[0]).toBe(500);
  await pool.setHost(master?.uuid ?? '', { live: true });
  expect((await overSocket(member?.dom0Root ?? '', ...login))[0]).toBe(200);
});

it('starts with a thousand VMs, and is quick to list them', { timeout: 60_000 }, async () => {
  await using world = await aPool({ vms: 1000, hosts: 2 });
  const records = (await world.client.call('VM.get_all_records')) as object;
  expect(Object.keys(records)).toHaveLength(1000 + 2 + 3);
  expect((await request(world.pool.url, 'session.logout', world.client.session)).Status).toBe('Success');
});

it('does what waited although its caller has logged out, and not after a restart', async () => {
  await using world = await aPool({ vms: 0, hosts: 1 });
  const { pool } = world;
  const named = async (name: string, then: (other: TestClient) => Promise<unknown>) => {
    const go = Promise.withResolvers<void>();
    const before = pool.calls.length;
    const forget = pool.faults.add({ method: 'VM.create', hold: go.promise });
    const other = await logIn(pool.url, pool.username, pool.password);
    const answer = other.call('VM.create', vmRecord({ name_label: name })).catch(() => 'cut');
    await until(() => pool.calls.slice(before).some(({ method }) => method === 'VM.create'));
    await then(other);
    go.resolve();
    await answer;
    forget();
    return (await pool.inventory()).vms.some((vm) => vm.name === name);
  };
  expect(await named('late', (other) => other.call('session.logout'))).toBe(true);
  expect(await named('lost', () => pool.restartXapi())).toBe(false);
});
