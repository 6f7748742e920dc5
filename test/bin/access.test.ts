import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, it, onTestFinished, vi } from 'vitest';
import { type Running, startXensnap, xensnap } from './command-line.ts';

// Whole services are started as processes, which takes long where other tests run beside.
vi.setConfig({ testTimeout: 300_000 });

const NO_PORTS = ['--api-port', '0', '--pool-port', '0', '--glance-port', '0'];
const SMALL = ['local', '--no-demo', '--vms', '1', '--hosts', '1', '--disk-mib', '4', ...NO_PORTS];

async function aFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-access-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** A service that is ready, and what it printed. */
async function aService(args: readonly string[], env: Record<string, string>) {
  const running = startXensnap([...SMALL, ...args], env);
  onTestFinished(() => running.signal('SIGKILL'));
  await running.printed('\nready\n');
  const line = (name: string) => running.printedLines().find((each) => each.startsWith(`${name} `)) ?? '';
  const [, api = ''] = line('api').split(' ');
  const [, glance = ''] = line('glance').split(' ');
  return { running, api, glance, tokenFile: line('token').slice('token '.length) };
}

async function stop(running: Running) {
  running.signal('SIGTERM');
  return running.ended;
}

/** What others may do anything with, below a folder. */
async function openIn(folder: string): Promise<string[]> {
  const names = ['.', ...(await readdir(folder, { recursive: true }))];
  const found = await Promise.all(names.map((name) => lstat(join(folder, name))));
  return names.filter((_name, at) => !found[at]?.isSymbolicLink() && ((found[at]?.mode ?? 0) & 0o077) !== 0);
}

/** Where a process listens: TCP ports, and names of sockets. */
async function listening(pid: number): Promise<{ ports: number[]; names: string[] }> {
  const fds = await readdir(`/proc/${pid}/fd`);
  const links = await Promise.all(fds.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')));
  const inodes = new Set(links.map((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1]));
  const rows = async (table: string) =>
    (await readFile(`/proc/net/${table}`, 'utf8')).split('\n').map((row) => row.trim().split(/\s+/));
  const tcp = [...(await rows('tcp')), ...(await rows('tcp6'))].filter(
    (row) => row[3] === '0A' && inodes.has(row[9]),
  );
  const unix = (await rows('unix')).filter((row) => row[3] === '00010000' && inodes.has(row[6]));
  return {
    ports: tcp.map((row) => Number.parseInt(row[1]?.split(':')[1] ?? '', 16)),
    names: unix.map((row) => row[7] ?? ''),
  };
}

/** Tells whether nobody else can reach a socket by its name. */
async function outOfReach(name: string): Promise<boolean> {
  const there = await lstat(name).catch(() => undefined);
  if (!there) return true;
  for (let at = dirname(name); at !== dirname(at); at = dirname(at))
    if (((await lstat(at)).mode & 0o077) === 0) return true;
  return false;
}

/** Requests of everything that is served on a machine, as somebody sends them who has no secret. */
function attempts(): [method: string, path: string, headers: Record<string, string>, body?: string][] {
  const aws = (target: string, body: object) =>
    [
      'POST',
      '/',
      {
        'x-amz-target': target,
        'content-type': 'application/x-amz-json-1.1',
        authorization:
          'AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/x/aws4_request, SignedHeaders=host, Signature=00',
      },
      JSON.stringify(body),
    ] as [string, string, Record<string, string>, string];
  const json = { 'content-type': 'application/json' };
  const xml = { 'content-type': 'text/xml' };
  const call = (method: string, ...params: string[]) =>
    `<methodCall><methodName>${method}</methodName><params>${params
      .map((param) => `<param><value><string>${param}</string></value></param>`)
      .join('')}</params></methodCall>`;
  return [
    aws('secretsmanager.GetSecretValue', { SecretId: 'pool/demo' }),
    aws('secretsmanager.PutSecretValue', { SecretId: 'pool/demo', SecretString: '{}' }),
    aws('DynamoDB_20120810.Scan', { TableName: 'xensnap' }),
    aws('DynamoDB_20120810.PutItem', { TableName: 'xensnap', Item: { id: { S: 'job#x' } } }),
    aws('AmazonSQS.ListQueues', {}),
    aws('AmazonSQS.ReceiveMessage', { QueueUrl: 'http://x/000000000000/xensnap-hosts.fifo' }),
    aws('AWSStepFunctions.ListExecutions', {
      stateMachineArn: 'arn:aws:states:us-east-1:000000000000:stateMachine:xensnap',
    }),
    ['GET', '/_fauxqs/queues/xensnap-hosts.fifo', {}],
    ['GET', '/vms', {}],
    ['POST', '/snapshots', json, '{"vm":"web-1"}'],
    ['POST', '/janitor', {}],
    ['GET', '/v2.1/servers', { 'x-auth-token': 'none' }],
    ['GET', '/v1.0/images/x', {}],
    ['GET', '/v2/images', {}],
    ['POST', '/v2/images', json, '{"name":"x","disk_format":"raw","container_format":"bare"}'],
    ['POST', '/', xml, call('session.login_with_password', 'root', 'root')],
    ['POST', '/', xml, call('VM.get_all_records', 'OpaqueRef:NULL')],
    ['GET', '/export_raw_vdi?vdi=x', {}],
  ];
}

it('gives and does nothing to whoever has all of its ports and no token', async () => {
  const folder = await aFolder();
  const env = { XDG_STATE_HOME: folder };
  const { running, api, tokenFile } = await aService(['--data', join(folder, 'data')], env);
  const { ports, names } = await listening(running.pid);
  // The API, the embedded Glance, the simulated pool's one host. No stand-in of AWS.
  expect(ports).toHaveLength(3);
  // dynalite's socket has no name any more, a simulated host's is in a folder of this user's.
  expect(names.length).toBeGreaterThan(0);
  expect(await Promise.all(names.map(outOfReach))).not.toContain(false);
  const secrets = [
    (await readFile(tokenFile, 'utf8')).trim(),
    ...running
      .printedLines()
      .filter((line) => line.startsWith('pool '))
      .map((line) => line.split(' ')[3] ?? ''),
  ];
  const answered = new Map<string, number>();
  for (const port of ports)
    for (const [method, path, headers, body] of attempts()) {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, {
        method,
        headers,
        ...(body !== undefined && { body }),
      });
      const text = await response.text();
      const isXapi =
        text.includes('<methodResponse>') && /<string>Failure<\/string>|<value>Failure/.test(text);
      const isVersions = response.status === 300 && /"versions"/.test(text);
      expect([path, response.status >= 400 || isXapi || isVersions, text]).toEqual([path, true, text]);
      for (const secret of secrets) expect(text).not.toContain(secret);
      answered.set(`${port} ${response.status}`, (answered.get(`${port} ${response.status}`) ?? 0) + 1);
    }
  expect([...answered.keys()].filter((key) => key.endsWith(' 401')).length).toBeGreaterThanOrEqual(2);
  const jobs = await xensnap(['jobs', '--json', '--api', api], env);
  expect([jobs.status, JSON.parse(jobs.stdout)]).toEqual([0, { snapshots: [] }]);
  await stop(running);
});

it('keeps to its user all that it writes, and what was there before', async () => {
  const folder = await aFolder();
  const env = { XDG_STATE_HOME: join(folder, 'state') };
  const data = join(folder, 'data');
  await mkdir(join(data, 'glance'), { recursive: true });
  await writeFile(join(data, 'glance/old'), 'a disk');
  await chmod(data, 0o755);
  await chmod(join(data, 'glance'), 0o755);
  await chmod(join(data, 'glance/old'), 0o644);
  const { running, api, tokenFile } = await aService(['--data', data], env);
  expect(running.printedLines().map((line) => line.split(' ')[0])).toEqual([
    ...['api', 'pool', 'glance', 'token', 'ready'],
  ]);
  expect(tokenFile).toBe(join(data, 'token'));
  // The command line finds the token by itself.
  const made = await xensnap(['snapshot', 'web-1', '--wait', '--api', api], env);
  expect([made.status, made.stderr]).toEqual([0, '']);
  const elsewhere = await xensnap(['vms', '--api', api], { XDG_STATE_HOME: join(folder, 'other') });
  expect([elsewhere.status, elsewhere.stdout]).toEqual([1, '']);
  expect(elsewhere.stderr).toContain('--auth bearer --token-file');
  const told = await xensnap(['vms', '--api', api, '--auth', 'bearer', '--token-file', tokenFile], {
    XDG_STATE_HOME: join(folder, 'other'),
  });
  expect(told.status).toBe(0);
  expect(await readdir(join(folder, 'state/xensnap/services'))).toEqual([
    `${hostname()}:${new URL(api).port}`,
  ]);
  const { stderr } = await stop(running);
  expect(stderr.split('\n')).toEqual([
    `xensnap: ${data} was open to other users of this machine; now it is not`,
    `xensnap: 2 files and folders in ${data} were open to other users; now they are not`,
    '',
  ]);
  expect(await openIn(data)).toEqual([]);
  expect(await openIn(join(folder, 'state'))).toEqual([]);
  expect(await readdir(join(folder, 'state/xensnap/services'))).toEqual([]);
  const images = await readdir(join(data, 'glance/images'));
  expect(images).toHaveLength(1);

  // What it holds is unpacked for its user alone too.
  const disk = join(folder, 'disk.raw');
  const unpacked = await xensnap(['unpack', join(data, 'glance/images', images[0] ?? ''), '--to', disk]);
  expect([unpacked.status, unpacked.stderr]).toEqual([0, '']);
  expect((await lstat(disk)).mode & 0o777).toBe(0o600);

  // A token that others may have read is none.
  await chmod(tokenFile, 0o644);
  const again = await xensnap([...SMALL, '--data', data], env);
  expect([again.status, again.stdout]).toEqual([1, '']);
  expect(again.stderr).toMatch(
    /^xensnap: .*\/token is open to other users \(644\), who may know what it says: remove it\n$/,
  );
});

it('asks for nothing when it is told so, says what that means, and still refuses what pages send', async () => {
  const folder = await aFolder();
  const { running, api, glance, tokenFile } = await aService(['--no-auth'], {
    XDG_STATE_HOME: folder,
    TMPDIR: folder,
  });
  expect(tokenFile).toBe('');
  expect((await fetch(`${api}/vms`)).status).toBe(200);
  expect((await fetch(`${glance}/v2/images`)).status).toBe(200);
  expect((await xensnap(['vms', '--api', api], { XDG_STATE_HOME: folder })).status).toBe(0);
  for (const url of [api, glance]) {
    const page = { origin: 'http://evil.example' };
    expect((await fetch(url, { headers: page })).status).toBe(403);
  }
  expect((await stop(running)).stderr).toBe(
    'xensnap: --no-auth: every user and every program of this machine may take, read and delete backups here\n',
  );
  expect(await readdir(folder)).toEqual([]);
});

it('says why it does not stop at once while a job runs', async () => {
  const folder = await aFolder();
  const { running, api, tokenFile } = await aService([], { XDG_STATE_HOME: folder });
  const authorization = `Bearer ${(await readFile(tokenFile, 'utf8')).trim()}`;
  const asked = await fetch(`${api}/snapshots`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: '{"vm":"web-1"}',
  });
  expect(asked.status).toBe(202);
  const { id } = (await asked.json()) as { id: string };
  // The terminal is closed.
  running.signal('SIGHUP');
  const { status, stderr } = await running.ended;
  expect(status).toBe(0);
  const start = `xensnap: stopping: this is undone first, for a minute at most: the job ${id} of "web-1"`;
  expect(stderr.slice(0, start.length)).toBe(start);
  expect(stderr.slice(start.length)).toMatch(/^(, which owes [a-z, ]+)?\n$/);
});

it.each([[true], [false]])(
  'says what stays behind when Glance is away, with its own folder: %s',
  async (kept) => {
    const folder = await aFolder();
    const far = startXensnap(['glance', '--port', '0', '--no-auth', '--data', join(folder, 'glance')]);
    onTestFinished(() => far.signal('SIGKILL'));
    await far.printed('\nready\n');
    const [, url = ''] =
      far
        .printedLines()
        .find((line) => line.startsWith('glance '))
        ?.split(' ') ?? [];
    const data = kept ? ['--data', join(folder, 'service')] : [];
    const { running, api, tokenFile } = await aService(['--glance', url, ...data], {
      XDG_STATE_HOME: folder,
    });
    const authorization = `Bearer ${(await readFile(tokenFile, 'utf8')).trim()}`;
    const answer = await fetch(`${api}/snapshots`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: '{"vm":"web-1"}',
    });
    const { id } = (await answer.json()) as { id: string };
    far.signal('SIGKILL');
    await far.ended;
    const { status, stderr } = await stop(running);
    const next = kept
      ? 'The next start with this folder goes on with it'
      : 'Without --data nothing remembers it: remove it by hand';
    expect([status, stderr.split('\n').at(-2)]).toEqual([
      0,
      `xensnap: not all could be undone: the job ${id} of "web-1", which owes image. ${next}`,
    ]);
  },
);

it.skipIf(process.getuid?.() !== 0)('sends no token to a port that another user has taken', async () => {
  const folder = await aFolder();
  const env = { XDG_STATE_HOME: folder };
  const program =
    'process.setgid(65534); process.setuid(65534);' +
    "require('http').createServer((req, res) => { console.log(JSON.stringify(req.headers)); res.end('{}'); })" +
    ".listen(0, '127.0.0.1', function () { console.log(this.address().port); });";
  const thief = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void thief.kill());
  let heard = '';
  const lines = createInterface(thief.stdout).on('line', (line) => {
    heard += line;
  });
  const [port] = await once(lines, 'line');
  await mkdir(join(folder, 'xensnap/services'), { recursive: true, mode: 0o700 });
  const tokenFile = join(folder, 'xensnap/token');
  await writeFile(tokenFile, `${'t'.repeat(43)}\n`, { mode: 0o600 });
  await writeFile(join(folder, 'xensnap/services', `${hostname()}:${port}`), `${tokenFile}\n`, {
    mode: 0o600,
  });
  for (const api of [`http://127.0.0.1:${port}`, `http://localhost:${port}`]) {
    const { status, stderr } = await xensnap(['vms', '--api', api], env);
    expect([status, stderr]).toEqual([
      1,
      `xensnap: another user (number 65534) listens at port ${port}: the token in ${tokenFile} is not sent to them\n`,
    ]);
  }
  expect(heard).toBe(port);
});
