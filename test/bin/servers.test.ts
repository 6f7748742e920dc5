import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createPoolClient } from '../../xapi/client.ts';
import { startXensnap, xensnap } from './command-line.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xensnap-bin-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('runs a pool alone, says where, and stops cleanly', async () => {
  const passwordFile = join(folder, 'password');
  await writeFile(passwordFile, 'of the file\n');
  const args = ['--hosts', '1', '--vms', '3', '--disk-mib', '4', '--password-file', passwordFile];
  const running = startXensnap(['pool', ...args, '--data', join(folder, 'pool')]);
  await running.printed('\nready\n');
  running.signal('SIGTERM');
  const { status, stdout, stderr } = await running.ended;
  expect([status, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(/^pool http:\/\/127\.0\.0\.1:\d+ root of the file\nready\n$/);
});

it('lets clients into the pool with what it printed', async () => {
  const running = startXensnap(['pool', '--vms', '2', '--disk-mib', '4'], { TMPDIR: folder });
  await running.printed('\nready\n');
  const [, address = '', username = '', password = ''] = running.firstLine().split(' ');
  const pool = createPoolClient({ addresses: [address] });
  const vms = await pool.withSession(
    async () => ({ username, password }),
    (xapi) => xapi.call('VM.get_all'),
  );
  expect(vms.length).toBeGreaterThanOrEqual(2);
  await pool.close();
  running.signal('SIGINT');
  expect((await running.ended).status).toBe(0);
});

it('runs a Glance alone that wants the token of a file', async () => {
  const tokenFile = join(folder, 'token');
  await writeFile(tokenFile, 'secret-token');
  const running = startXensnap(['glance', '--token-file', tokenFile, '--data', join(folder, 'glance')]);
  await running.printed('\nready\n');
  const url = running.firstLine().split(' ')[1];
  expect((await fetch(`${url}/v2/images`)).status).toBe(401);
  expect((await fetch(`${url}/v2/images`, { headers: { 'x-auth-token': 'secret-token' } })).status).toBe(200);
  const port = new URL(url ?? '').port;
  const second = await xensnap(['glance', '--port', port], { TMPDIR: folder });
  expect([second.status, second.stdout]).toEqual([1, '']);
  expect(second.stderr).toBe(`xensnap: the port ${port} is in use: name another with --port\n`);
  running.signal('SIGINT');
  const { status, stdout } = await running.ended;
  expect(status).toBe(0);
  expect(stdout).not.toContain('secret-token');
});

it('says which file it cannot read', async () => {
  const { status, stderr } = await xensnap(['pool', '--password-file', join(folder, 'nowhere')]);
  expect(status).toBe(1);
  expect(stderr).toMatch(/^xensnap: cannot read .*nowhere.*\n$/);
});
