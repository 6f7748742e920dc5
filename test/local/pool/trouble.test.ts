import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startPool } from '../../../local/pool/pool.ts';
import { decodeCall, encodeValue } from '../../../local/pool/xmlrpc.ts';
import { aPool, until } from './a-pool.ts';
import { request } from './client.ts';

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

it.runIf(spawnSync('openssl', ['version']).status === 0)(
  'speaks TLS with the certificate it is given',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tls-'));
    const [key, cert] = [join(folder, 'key'), join(folder, 'cert')];
    const subject = ['-subj', '/CN=xen1', '-addext', 'subjectAltName=IP:127.0.0.1'];
    spawnSync('openssl', [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      key,
      '-out',
      cert,
      ...subject,
    ]);
    const tls = { key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') };
    await rm(folder, { recursive: true });
    const dataDir = await mkdtemp(join(tmpdir(), 'pool-'));
    const pool = await startPool({ dataDir, vms: 0, tls });
    const status = await new Promise((resolve, reject) => {
      const sent = httpsRequest(pool.url, { ca: tls.cert, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      sent.on('error', reject).end();
    });
    expect(status).toBe(404);
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

it('lets a control domain in over its socket with any password, on a member as on the master', async () => {
  await using world = await aPool({ hosts: 2 });
  const { pool } = world;
  for (const { dom0Root, uuid } of pool.hosts) {
    const ask = (method: string, ...params: string[]): Promise<string> =>
      new Promise((resolve, reject) => {
        const values = params.map((param) => `<param>${encodeValue(param)}</param>`).join('');
        const body = `<methodCall><methodName>${method}</methodName><params>${values}</params></methodCall>`;
        const headers = { 'content-length': body.length };
        const sent = httpRequest(
          { socketPath: `${dom0Root}/var/lib/xcp/xapi`, method: 'POST', headers },
          (response) => {
            let text = '';
            response.setEncoding('utf8').on('data', (chunk) => {
              text += chunk;
            });
            response.on('end', () => resolve(text));
          },
        );
        sent.on('error', reject);
        sent.end(body);
      });
    const session =
      /OpaqueRef:[0-9a-f-]+/.exec(await ask('session.login_with_password', 'root', ''))?.[0] ?? '';
    expect(await ask('host.get_by_uuid', session, uuid)).toContain('<value>Success</value>');
  }
  expect(decodeCall('<methodCall><methodName>a.b</methodName></methodCall>')).toEqual({
    method: 'a.b',
    params: [],
  });
});

it('starts with a thousand VMs, and is quick to list them', { timeout: 60_000 }, async () => {
  await using world = await aPool({ vms: 1000, hosts: 2 });
  const records = (await world.client.call('VM.get_all_records')) as object;
  expect(Object.keys(records)).toHaveLength(1000 + 2 + 3);
  expect((await request(world.pool.url, 'session.logout', world.client.session)).Status).toBe('Success');
});
