import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { startGlance } from '../../local/glance/server.ts';
import { startPool } from '../../local/pool/pool.ts';
import { isSettled, jobWhen } from '../support/job-when.ts';
import { askApi, PLUGIN_FILE, scenario } from '../support/scenario.ts';

const XENSNAP = fileURLToPath(new URL('../../bin/xensnap.ts', import.meta.url));

it('ends a job as interrupted, with nothing left, when the service is killed in the middle of its upload', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const pool = await startPool({
    dataDir: join(folder, 'pool'),
    pluginFile: PLUGIN_FILE,
    vms: 2,
    diskMib: 8,
    guestWrites: false,
  });
  onTestFinished(() => pool.close());
  const glance = await startGlance({ dataDir: join(folder, 'glance') });
  onTestFinished(() => glance.close());
  await writeFile(join(folder, 'password'), `${pool.password}\n`);
  const before = await pool.inventory();
  const flags = [
    ...['--pool', pool.url, '--user', pool.username, '--password-file', join(folder, 'password')],
    ...['--glance', glance.url, '--api-port', '0', '--data', join(folder, 'service')],
  ];

  const killed = await startService(flags, folder);
  const uploading = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  glance.faults.add({ method: 'PUT', path: /file$/, afterBytes: 65_536, hold: release.promise });
  glance.onUpload(({ event }) => event === 'started' && uploading.resolve());
  const { body: job } = await askApi(killed, 'POST', '/snapshots', { vm: 'web-1' });
  await uploading.promise;
  while ((await phaseOf(killed, job.id)) !== 'PollUpload');
  // Just after a look at the upload. (A step that is killed with its session open leaves that to xapi, for a day.)
  const sessions = async () => (await pool.inventory()).sessions;
  while ((await sessions()) === 0);
  while ((await sessions()) > 0);
  killed.process.kill('SIGKILL');
  await once(killed.process, 'exit');

  const restarted = await startService(flags, folder);
  release.resolve();
  const { body: ended } = await askApi(restarted, 'GET', `/snapshots/${job.id}`);
  expect(ended).toMatchObject({
    status: 'failed',
    error: { name: 'Interrupted', message: 'The service was stopped while the job ran.' },
    owes: [],
  });
  expect(glance.images()).toEqual([]);
  // The janitor's first round may be at work.
  await expect.poll(() => pool.inventory(), { timeout: 10_000 }).toEqual(before);
  const { body: again } = await askApi(restarted, 'POST', '/snapshots', { vm: 'web-1' });
  expect(again.status).toBe('starting');

  // An orderly stop leaves nothing behind either, whatever is under way.
  restarted.process.kill('SIGTERM');
  await once(restarted.process, 'exit');
  expect(restarted.process.exitCode).toBe(0);
  expect(glance.images()).toEqual([]);
  expect(await pool.inventory()).toEqual(before);
}, 180_000);

it('goes on after its start with a snapshot that may still have come, until it surely has not', async () => {
  const at = await scenario({ restarts: true, leaves: 'unknown' });
  at.pool.faults.add({ method: 'Async.VM.snapshot', drop: 'before', times: 1 });
  const id = await at.request('web-1');
  await at.job(id, ({ phase }) => phase === 'PollSnapshot');
  const service = await at.restart();
  const started = at.clock.now().getTime();
  expect((await service.runtime.store.jobs.get(id))?.debts).toContain('snapshot');
  // Nobody makes a round of the janitor here.
  const ended = await jobWhen(service, id, isSettled);
  expect(ended).toMatchObject({ status: 'failed', error: { name: 'Interrupted' } });
  expect(at.clock.now().getTime() - started).toBeLessThan(100_000);
  // Of a step that was cut off, the session stays with xapi for a day.
  expect((await at.leftBehind()).filter((line) => !line.startsWith('pool: sessions'))).toEqual([]);
}, 60_000);

type Started = Parameters<typeof askApi>[0] & { process: ChildProcess };

async function phaseOf(service: Started, jobId: string): Promise<string> {
  return (await askApi(service, 'GET', `/snapshots/${jobId}`)).body.phase;
}

/** Starts the service as an operator does, and waits until it is ready. */
async function startService(flags: readonly string[], state: string): Promise<Started> {
  const child = spawn(process.execPath, [XENSNAP, 'local', ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, XDG_STATE_HOME: state },
  });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  let output = '';
  for await (const piece of child.stdout) {
    output += piece;
    if (!output.endsWith('ready\n')) continue;
    const [, apiUrl = '', tokenFile = ''] = /^api (\S+)$[\s\S]*^token (.+)$/m.exec(output) ?? [];
    return { process: child, apiUrl, token: (await readFile(tokenFile, 'utf8')).trim() };
  }
  throw new Error(`the service ended early: ${output}`);
}
