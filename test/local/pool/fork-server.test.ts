import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { forkServer } from '../../../local/pool/fork-server.ts';
import { startPlugin } from '../../../local/pool/start-plugin.ts';
import { until } from './a-pool.ts';
import { aCall, ids, run, start, stateOf } from './python-plugin.ts';

const ECHO = '#!/usr/bin/env python3\nimport sys\nprint(sys.argv[1])\nsys.exit(int(sys.argv[1][:2]))\n';

const START = new URL('../../../local/pool/start-plugin.ts', import.meta.url);
const SERVER = new URL('../../../local/pool/fork-server.ts', import.meta.url);

/** Has a process of its own call a function of a module. */
function inNode({ href }: URL, call: string) {
  const code = `(await import('${href}')).${call}`;
  return spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

it('runs many at once, each with its own argument and end', async () => {
  const numbers = Array.from({ length: 20 }, (_, index) => index);
  const ended = await Promise.all(
    numbers.map((each) => run('forked', `${each} ${'x'.repeat(200_000)}`, ECHO)),
  );
  expect(ended.map(({ code }) => code)).toEqual(numbers);
  expect(ended.map(({ stdout }) => stdout.split(' ')[0])).toEqual(numbers.map(String));
});

it('runs what a file holds now', async () => {
  const call = await aCall('7', ECHO);
  expect(await (await startPlugin(call)).ended).toEqual([7, null]);
  await writeFile(call.file, '#!/usr/bin/env python3\nraise SystemExit(8)\n');
  expect(await (await startPlugin(call)).ended).toEqual([8, null]);
});

/** Whether the memory that a process may write to holds a text. */
async function memoryHolds(pid: number, text: string): Promise<boolean> {
  await using memory = await open(`/proc/${pid}/mem`);
  for (const line of (await readFile(`/proc/${pid}/maps`, 'utf8')).split('\n')) {
    const [range = '', rights = ''] = line.split(' ');
    const [begin = 0, end = 0] = range.split('-').map((each) => Number.parseInt(each, 16));
    if (!rights.startsWith('rw')) continue;
    const bytes = Buffer.alloc(end - begin);
    await memory.read(bytes, 0, bytes.length, begin).catch(() => {});
    if (bytes.includes(text)) return true;
  }
  return false;
}

it('keeps nothing of an argument in the fork server, nor gives it to the next plugin', async () => {
  const secret = `OpaqueRef:${'planted'.repeat(4)}`;
  const started = await start('forked', `wait ${secret}`);
  const [pid, server] = await ids(started);
  const next = await start('forked', 'wait');
  const [nextPid] = await ids(next);
  expect(await Promise.all([pid, server, nextPid].map((each) => memoryHolds(each, secret)))).toEqual([
    ...[true, false, false],
  ]);
  for (const { process } of [started, next]) process.signal('SIGKILL');
  await Promise.all([started, next].map(({ process }) => process.ended));
});

it('ends the fork server with this process, even a killed one, and the plugins go on', async () => {
  const call = await aCall('wait');
  const node = inNode(START, `startPlugin(${JSON.stringify(call)})`);
  const [, server] = await ids(call);
  node.kill('SIGKILL');
  await once(node, 'exit');
  await until(() => !existsSync(`/proc/${server}`));
  expect(existsSync(join(call.dom0Root, 'gone'))).toBe(false);
  await writeFile(join(call.dom0Root, 'go'), '');
  await until(() => existsSync(join(call.dom0Root, 'gone')));
});

it('lets a process end that has no plugin running', async () => {
  const node = inNode(
    SERVER,
    `forkServer(['/usr/bin/env', 'python3']).then((server) => console.log(!!server))`,
  );
  const [output, [code]] = await Promise.all([node.stdout.toArray(), once(node, 'exit')]);
  expect([output.join(''), code]).toEqual(['true\n', 0]);
});

it('does without a server where the interpreter is none, or too old', async () => {
  expect(await forkServer(['/no/such/python3'])).toBeUndefined();
  expect(await forkServer(['/bin/false', 'python3'])).toBeUndefined();
  expect(await run('forked', 'x', '#!/no/such/python3\n')).toMatchObject({ code: 126, signal: null });
});

it('starts another server where one was killed, with whose end its plugins end', async () => {
  const started = await start('forked', 'wait');
  const [pid, server] = await ids(started);
  process.kill(server, 'SIGKILL');
  expect(await started.process.ended).toEqual([null, 'SIGKILL']);
  await until(async () => (await stateOf(pid)) === 'Z');
  expect((await run('forked', 'leave three')).code).toBe(3);
});
