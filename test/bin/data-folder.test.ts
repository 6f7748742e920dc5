import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { localClock } from '../../local/clock.ts';
import { startGlance } from '../../local/glance/server.ts';
import { startPool } from '../../local/pool/pool.ts';
import { startService } from '../../local/service.ts';
import { askApi, glanceOf, PLUGIN_FILE, poolOf } from '../support/scenario.ts';
import { startXensnap, xensnap } from './command-line.ts';

async function aFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** `xensnap local --once` on that folder, as an operator sees it. */
function once(data: string) {
  const flags = [
    '--once',
    '--vms',
    '1',
    '--disk-mib',
    '2',
    '--api-port',
    '0',
    '--pool-port',
    '0',
    '--glance-port',
    '0',
  ];
  return xensnap(['local', ...flags, '--data', data]);
}

/** One line for a person, with the path, and no stack. */
function expectAdvice({ status, stderr }: { status: number | null; stderr: string }, line: RegExp): void {
  expect(status).toBe(1);
  const lines = stderr
    .trim()
    .split('\n')
    .filter((each) => !/open to other users/.test(each));
  expect(lines).toEqual([expect.stringMatching(line)]);
}

it('says of a table whose log is cut in half where it is and what to do, and ends', async () => {
  const data = await aFolder();
  expect(await once(data)).toMatchObject({ status: 0 });
  const table = join(data, 'service', 'table');
  const [log = ''] = (await readdir(table)).filter((name) => name.endsWith('.log'));
  await truncate(join(table, log), Math.floor((await stat(join(table, log))).size / 2));
  expectAdvice(
    await once(data),
    new RegExp(`^xensnap: The table in ${table} is damaged: ${log} has .*Put a copy`),
  );
}, 120_000);

it('says of an image record that is damaged which it is', async () => {
  const data = await aFolder();
  const records = join(data, 'glance', 'records');
  await mkdir(records, { recursive: true });
  await writeFile(join(records, 'a.json'), '{"id":');
  expectAdvice(await once(data), new RegExp(`^xensnap: The image record ${records}/a.json is damaged`));
}, 120_000);

it('says of a file where a folder is to be, and of a folder that can only be read, what to do', async () => {
  const file = join(await aFolder(), 'file');
  await writeFile(file, '');
  expectAdvice(
    await once(join(file, 'data')),
    /^xensnap: the data folder .*file\/data can't be used: there is a file/,
  );
  const folder = await aFolder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro,size=1m', 'xensnap-test', folder], { stdio: 'ignore' });
  } catch {
    return;
  }
  onTestFinished(() => void execFileSync('umount', ['-l', folder]));
  expectAdvice(
    await once(join(folder, 'data')),
    /^xensnap: the data folder .* can't be used: .*can be written/,
  );
}, 120_000);

it('answers 503 with the reason while the disk of its jobs is full, and goes on when there is room', async (context) => {
  const disk = await aFolder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'xensnap-test', disk], { stdio: 'ignore' });
  } catch {
    return context.skip();
  }
  onTestFinished(() => void execFileSync('umount', ['-l', disk]));
  const folder = await aFolder();
  const pool = await startPool({
    dataDir: join(folder, 'pool'),
    pluginFile: PLUGIN_FILE,
    vms: 1,
    diskMib: 2,
  });
  onTestFinished(() => pool.close());
  const glance = await startGlance({ dataDir: join(folder, 'glance') });
  onTestFinished(() => glance.close());
  const told: string[] = [];
  const service = await startService({
    dataDir: join(disk, 'service'),
    pools: [poolOf(pool)],
    glance: glanceOf(glance),
    tell: (line) => told.push(line),
  });
  onTestFinished(() => service.close());
  await writeFile(join(disk, 'ballast'), Buffer.alloc(4 * 1024 * 1024)).catch(() => {});
  const ask = (vm = pool.vms()[0]?.uuid) =>
    askApi(service, 'POST', '/snapshots', { vm, metadata: { text: 'x'.repeat(200) } });
  let answer = await ask();
  // What the log's last page has room for.
  for (let n = 0; n < 50 && answer.status !== 503; n++) answer = await ask();
  expect(answer).toMatchObject({
    status: 503,
    body: {
      error: { name: 'ServiceUnavailable', message: expect.stringContaining('its disk is full: make room') },
    },
  });
  expect(told[0]).toContain(`the table in ${join(disk, 'service', 'table')} can't be used any more`);

  await rm(join(disk, 'ballast'));
  const schedule = { selector: { tag: 'x' }, daily: { at: '02:00' }, keep: 1 };
  expect(await askApi(service, 'POST', '/schedules', schedule)).toMatchObject({ status: 201 });
  expect(told.at(-1)).toContain('can be used again');
}, 180_000);

it('stops when it is told to although the disk of its jobs is full, and says so', async (context) => {
  const disk = await aFolder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=48m', 'xensnap-test', disk], { stdio: 'ignore' });
  } catch {
    return context.skip();
  }
  onTestFinished(() => void execFileSync('umount', ['-l', disk]));
  const ports = ['--api-port', '0', '--pool-port', '0', '--glance-port', '0'];
  const running = startXensnap([
    'local',
    '--no-demo',
    '--no-auth',
    '--vms',
    '1',
    '--disk-mib',
    '2',
    '--data',
    disk,
    ...ports,
  ]);
  onTestFinished(() => running.signal('SIGKILL'));
  await running.printed('\nready\n');
  const api = { apiUrl: running.firstLine().split(' ')[1] ?? '', token: undefined };
  const [{ uuid: vm }] = (await askApi(api, 'GET', '/vms')).body.vms;
  await writeFile(join(disk, 'ballast'), Buffer.alloc(48 * 2 ** 20)).catch(() => {});
  let status = 0;
  // What the log's last page has room for.
  for (let n = 0; n < 50 && status !== 503; n++)
    ({ status } = await askApi(api, 'POST', '/snapshots', { vm, metadata: { text: 'x'.repeat(200) } }));
  expect(status).toBe(503);
  running.signal('SIGTERM');
  const ended = await running.ended;
  expect(ended.status).toBe(1);
  expect(ended.stderr.trim().split('\n').at(-1)).toContain('its disk is full: make room');
}, 180_000);

it('begins at its start what fell due while nothing ran', async () => {
  const data = await aFolder();
  const MINUTE = 60_000;
  const earlier = await startService({
    dataDir: join(data, 'service'),
    pools: [{ name: 'demo', addresses: ['http://127.0.0.1:9'], username: 'root', password: 'none' }],
    glance: { url: 'http://127.0.0.1:9' },
    clock: { ...localClock(), now: () => new Date(Date.now() - 10 * MINUTE) },
  });
  const at = new Date(Date.now() - 5 * MINUTE).toISOString().slice(11, 16);
  const schedule = { selector: { namePattern: '*' }, daily: { at }, keep: 1 };
  expect(await askApi(earlier, 'POST', '/schedules', schedule)).toMatchObject({ status: 201 });
  await earlier.close();
  const ports = ['--api-port', '0', '--pool-port', '0', '--glance-port', '0'];
  const vms = ['--vms', '1', '--disk-mib', '2'];
  const running = startXensnap(['local', '--no-demo', '--no-auth', ...vms, '--data', data, ...ports]);
  onTestFinished(() => running.signal('SIGKILL'));
  await running.printed('\nready\n');
  const started = Date.now();
  const api = { apiUrl: running.firstLine().split(' ')[1] ?? '', token: undefined };
  const asked = async () => (await askApi(api, 'GET', '/snapshots')).body.snapshots.length;
  while ((await asked()) === 0 && Date.now() < started + MINUTE / 2)
    await new Promise((resolve) => setTimeout(resolve, 100));
  expect(await asked()).toBe(1);
}, 180_000);
