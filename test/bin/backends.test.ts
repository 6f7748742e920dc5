import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { expect, it, onTestFinished, vi } from 'vitest';
import { startGlance } from '../../local/glance/server.ts';
import { startPool } from '../../local/pool/pool.ts';
import { CREDENTIAL, stubKeystone } from '../glance-client/stub-keystone.ts';
import { selfSigned } from '../xapi/raw-server.ts';
import { startXensnap, xensnap } from './command-line.ts';

// Whole services are started as processes, which takes long where other tests run beside.
vi.setConfig({ testTimeout: 300_000 });

const TOKEN = 'planted-glance-token';
const certificate = selfSigned('backends');

/** A service over TLS with a self-signed certificate. */
async function overTls(urlOf: () => string): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer(certificate, (client) => {
    const service = connect(Number(new URL(urlOf()).port), '127.0.0.1');
    for (const socket of [client, service]) {
      sockets.add(socket);
      socket.on('error', () => {
        client.destroy();
        service.destroy();
      });
    }
    client.pipe(service).pipe(client);
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A Glance that takes one token, a Keystone that gives it, and the files for both. */
async function aCloud({ credential = JSON.stringify(CREDENTIAL), hosts = [] as string[] } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-backends-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = async (name: string, text: string) => {
    await writeFile(join(folder, name), text);
    return join(folder, name);
  };
  const glance = await startGlance({ dataDir: join(folder, 'glance'), token: TOKEN, hosts });
  onTestFinished(() => glance.close());
  const keystone = await stubKeystone();
  keystone.next.push(...Array.from({ length: 50 }, () => TOKEN));
  return {
    folder,
    glance,
    keystone,
    file,
    credentialFile: await file('credential.json', credential),
    caFile: await file('ca.pem', certificate.cert),
  };
}

const NO_PORTS = ['--api-port', '0', '--pool-port', '0', '--glance-port', '0'];

it('gets the tokens for Glance from Keystone, with the application credential of a file', async () => {
  const { folder, glance, keystone, credentialFile } = await aCloud();
  const { status, stdout, stderr } = await xensnap(
    [
      ...['local', '--once', '--verbose', '--vms', '1', '--hosts', '1', '--disk-mib', '4', ...NO_PORTS],
      ...['--glance', glance.url, '--keystone', keystone.url, '--glance-credential-file', credentialFile],
      ...['--data', join(folder, 'data')],
    ],
    { TMPDIR: folder },
  );
  expect(stdout.match(/^Status +succeeded$/gm)).toHaveLength(2);
  expect(stdout).toMatch(/^Proved +it started, and its guest tools were seen$/m);
  // Each step once, and no addresses of what has ended.
  expect(stdout.match(/TakeVm/g)).toHaveLength(1);
  expect(stdout).toMatch(/^succeeded +100 %/m);
  expect(stdout).not.toMatch(/^(api|pool|glance|token|ready)\b/m);
  expect(stdout.match(/^Left behind +nothing$/gm)).toHaveLength(2);
  expect(status).toBe(0);
  expect(keystone.requests.filter((method) => method === 'POST').length).toBeGreaterThan(1);
  const kept = await textsIn(join(folder, 'data'));
  for (const secret of [TOKEN, CREDENTIAL.secret]) expect(stdout + stderr + kept).not.toContain(secret);
});

/** Disks left out. */
async function textsIn(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && !entry.name.endsWith('.vhd'));
  const texts = files.map((entry) => readFile(join(entry.parentPath, entry.name), 'latin1').catch(() => ''));
  return (await Promise.all(texts)).join('\n');
}

/** A pool, a Glance and a Keystone over TLS, and the command line that names them. */
async function aCloudOverTls() {
  const glanceFront = await overTls(() => glance.url);
  const hosts = [new URL(glanceFront).host];
  const { folder, glance, keystone, caFile, credentialFile, file } = await aCloud({ hosts });
  const pool = await startPool({
    dataDir: join(folder, 'pool'),
    pluginFile: new URL('../../plugin/glance', import.meta.url).pathname,
    ...{ hosts: 1, vms: 1, diskMib: 4 },
  });
  onTestFinished(() => pool.close());
  const addresses = {
    pool: await overTls(() => pool.url),
    glance: glanceFront,
    keystone: await overTls(() => keystone.url),
  };
  const common = [
    ...['local', '--data', join(folder, 'data'), ...NO_PORTS, '--pool', addresses.pool],
    ...['--password-file', await file('password', pool.password), '--glance', addresses.glance],
    ...['--keystone', addresses.keystone, '--glance-credential-file', credentialFile],
  ];
  return { addresses, common, caFile };
}

const TRUSTED = ['pool', 'glance', 'keystone'] as const;

it('trusts pool, Glance and Keystone by the authorities of files', async () => {
  const { common, caFile } = await aCloudOverTls();
  const running = startXensnap([...common, ...TRUSTED.flatMap((name) => [`--${name}-ca-file`, caFile])]);
  await running.printed('\nready\n');
  running.signal('SIGTERM');
  expect(await running.ended).toMatchObject({ status: 0, stderr: '' });
});

it('starts with a member that is dead, where it was told of another', async () => {
  const { addresses, common, caFile } = await aCloudOverTls();
  // Nobody listens there.
  const dead = 'https://127.0.0.1:1';
  const withBoth = common.map((arg) => (arg === addresses.pool ? `${dead},${addresses.pool}` : arg));
  const running = startXensnap([...withBoth, ...TRUSTED.flatMap((name) => [`--${name}-ca-file`, caFile])]);
  await running.printed(`\npool ${dead},${addresses.pool} root\n`);
  await running.printed('\nready\n');
  running.signal('SIGTERM');
  expect(await running.ended).toMatchObject({ status: 0, stderr: '' });
});

it.each(TRUSTED)('does not trust the certificate of a %s whose authority it was not told', async (left) => {
  const { addresses, common, caFile } = await aCloudOverTls();
  const others = TRUSTED.filter((name) => name !== left);
  const trust = others.flatMap((name) => [`--${name}-ca-file`, caFile]);
  const { status, stderr } = await xensnap([...common, ...trust]);
  expect(status).toBe(1);
  expect(stderr).toMatch(/^xensnap: .*self.signed.cert.*\n$/i);
  expect(stderr).toContain(addresses[left]);
});

it('takes a Keystone by its pinned certificate, and no other', async () => {
  const { glance, keystone, credentialFile } = await aCloud();
  const url = await overTls(() => keystone.url);
  const run = (fingerprint: string) =>
    startXensnap([
      ...['local', '--no-demo', '--vms', '0', '--hosts', '1', ...NO_PORTS, '--glance', glance.url],
      ...['--keystone', url, '--glance-credential-file', credentialFile],
      ...['--keystone-fingerprint', fingerprint],
    ]);
  const running = run(certificate.fingerprint);
  await running.printed('\nready\n');
  running.signal('SIGTERM');
  expect((await running.ended).status).toBe(0);
  const { status, stderr } = await run('ab'.repeat(32)).ended;
  expect(status).toBe(1);
  expect(stderr).toMatch(/Keystone at .*not the pinned one: SHA-256 AB:AB:/);
  expect(stderr).toContain(`${certificate.fingerprint} was shown`);
});

it.each([
  ['{"id": "planted-id", "secret": "planted"}', 'was it deleted, is its id mistyped'],
  ['{"id": "a", "secret": planted', 'must hold {"id": "…", "secret": "…"}, an application credential'],
  ['{"id": "planted"}', 'must hold {"id": "…", "secret": "…"}, an application credential'],
  [
    '{"id": "cred-1", "secret": "planted"}',
    'it does not take the application credential: is its secret mistyped',
  ],
])(
  'says in one line what is wrong with the credential, and does not show it: %s',
  async (credential, said) => {
    const { glance, keystone, credentialFile } = await aCloud({ credential });
    const { status, stderr } = await xensnap([
      ...['local', '--no-demo', '--vms', '0', '--hosts', '1', ...NO_PORTS, '--glance', glance.url],
      ...['--keystone', keystone.url, '--glance-credential-file', credentialFile],
    ]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^xensnap: .*\n$/);
    expect(stderr).toContain(said);
    expect(stderr).not.toContain('planted');
  },
);

it('says that it is the pool which does not answer', async () => {
  const { glance, file } = await aCloud();
  const password = await file('password', 'x');
  const { status, stderr } = await xensnap([
    ...['local', ...NO_PORTS, '--pool', 'http://127.0.0.1:9', '--password-file', password],
    ...['--glance', glance.url],
  ]);
  expect(status).toBe(1);
  expect(stderr).toMatch(/^xensnap: the pool at http:\/\/127\.0\.0\.1:9: .*\n$/);
});

it('says so when the file of an authority holds no certificate', async () => {
  const { glance, file } = await aCloud();
  const text = await file('other', 'text');
  const { status, stderr } = await xensnap([
    'local',
    ...NO_PORTS,
    '--glance',
    glance.url,
    '--glance-ca-file',
    text,
  ]);
  expect([status, stderr]).toEqual([
    1,
    `xensnap: ${text} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)\n`,
  ]);
});

const REAL = ['--glance', 'https://glance', '--keystone', 'https://keystone'];

it.each([
  [['--keystone', 'https://k'], 'name it with --glance'],
  [['--pool-ca-file', 'f'], 'name it with --pool'],
  [['--glance', 'https://g', '--keystone-ca-file', 'f'], 'need --keystone'],
  [['--glance', 'https://g', '--glance-credential-file', 'f'], '--glance-credential-file needs --keystone'],
  [REAL, '--keystone needs --glance-credential-file'],
  [[...REAL, '--glance-credential-file', 'f', '--glance-token-file', 'f'], 'leave out --glance-token-file'],
  [['--keystone', 'keystone:5000'], 'It must be an http(s) URL.'],
  [['--pool', 'https://xen1,xen2'], 'It must be an http(s) URL.'],
  [['--pool', 'https://xen1,http://xen2'], 'Its members must be all https or all http.'],
  [['--pool', 'https://xen1', '--pool', 'https://xen2'], 'give its members at once, as in URL,URL.'],
  [['--keystone-fingerprint', 'ab:cd'], 'It must be a SHA-256 fingerprint'],
])('refuses %j, and names the flag that mends it', async (args, said) => {
  const { status, stderr } = await xensnap(['local', ...args]);
  expect(status).toBe(2);
  expect(stderr).toContain(said);
});
