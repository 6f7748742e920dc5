import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { startXensnap } from '../bin/command-line.ts';

const README = new URL('../../README.md', import.meta.url);

/** The lines to type under a heading of the README, up to the next table. */
async function linesUnder(heading: string): Promise<string> {
  const [, section = ''] = (await readFile(README, 'utf8')).split(`### ${heading}\n`);
  const [before = ''] = section.split('\n|');
  const lines = before.split('\n').filter((line) => line.startsWith('    '));
  return lines.map((line) => line.slice(4)).join('\n');
}

it("takes images with the README's own lines for Debian's client", { timeout: 600_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-readme-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const ports = ['--api-port', '0', '--pool-port', '0', '--glance-port', '0'];
  const size = ['--vms', '2', '--hosts', '1', '--disk-mib', '4'];
  const running = startXensnap(['local', '--no-demo', ...size, ...ports], {
    XDG_STATE_HOME: join(folder, '.local/state'),
  });
  onTestFinished(() => running.signal('SIGKILL'));
  await running.printed('\nready\n');
  const portOf = (name: string) =>
    running
      .printedLines()
      .find((line) => line.startsWith(`${name} `))
      ?.split(':')[2] ?? '';
  const typed = (await linesUnder("With OpenStack's clients"))
    .replaceAll(':8700', `:${portOf('api')}`)
    .replaceAll(':8710', `:${portOf('glance')}`);
  expect(typed.match(/^openstack /gm)).toHaveLength(3);
  const { stdout } = await promisify(execFile)(
    '/bin/bash',
    ['-euc', `${typed}\nopenstack image list -f value`],
    {
      cwd: folder,
      env: { PATH: '/usr/bin:/bin', HOME: folder },
      timeout: 500_000,
    },
  );
  expect(stdout).toMatch(/ before-upgrade active$/m);
  expect(stdout).toMatch(/ nightly-1 active$/m);
  running.signal('SIGTERM');
  expect((await running.ended).status).toBe(0);
});
