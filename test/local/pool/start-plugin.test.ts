import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { expect, it } from 'vitest';
import { until } from './a-pool.ts';
import { ids, run, start, stateOf, WAYS } from './python-plugin.ts';

/**
 * What a plugin has printed, taken apart where it is JSON, so that a difference can be seen. Files that LevelDB has open
 * in this process, such as another test's table, every process of it has, from the moment on at which it was started.
 */
function told(stdout: string): unknown {
  try {
    const { files, ...more } = JSON.parse(stdout);
    return { ...more, files: files.filter(([fd, name]: string[]) => Number(fd) < 3 || !isOfTable(name)) };
  } catch {
    return stdout;
  }
}

const isOfTable = (name = '') => /^(LOG|LOCK|CURRENT|MANIFEST-\d+|\d+\.(log|ldb))( \(deleted\))?$/.test(name);

/** Runs a plugin both ways, which must not differ; answers what comes of it. */
async function both(argument: string, text?: string) {
  const [forked, alone] = await Promise.all([run('forked', argument, text), run('alone', argument, text)]);
  const [one, other] = [forked, alone].map(({ stdout, ...rest }) => ({ ...rest, stdout: told(stdout) }));
  expect(one).toEqual(other);
  return forked;
}

it('gives a forked plugin the argument, environment, files, group and signals of one that starts its interpreter', async () => {
  const { stdout, code } = await both('tell ü 1');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    argv: ['ROOT/plugin', 'tell ü 1'],
    environment: { PATH: expect.any(String), XENSNAP_DOM0_ROOT: 'ROOT' },
    // What this process was started with, every process of it has.
    files: expect.toSatisfy((files: string[][]) =>
      isDeepStrictEqual(files.slice(0, 3).flat(), ['0', 'null', '1', 'stdout', '2', 'stderr']),
    ),
    ...{ name: '__main__', file: 'ROOT/plugin', input: '', folder: '/', threads: 1, wakes: -1, blocked: [] },
    ...{ group: true, session: true, marked: true, named: true, told: false },
  });
});

it.each([
  ['leave nothing', 0],
  ['leave three', 3],
  ['leave minus', 255],
  ['leave truth', 1],
  ['leave text', 1],
  ['raise', 1],
  ['end', 0],
  ['daemon', 0],
])('ends both ways alike after %j, with %i', async (argument, code) => {
  expect(await both(argument)).toMatchObject({ code, signal: null });
});

it.each([
  ['interrupt', 'SIGINT'],
  ['kill 9', 'SIGKILL'],
  ['kill 15', 'SIGTERM'],
  ['kill 10', 'SIGUSR1'],
])('is ended both ways alike after %j, by %s', async (argument, signal) => {
  expect(await both(argument)).toMatchObject({ code: null, signal });
});

it.each(WAYS)('waits for threads, and calls what is left for the end: %s', async (way) => {
  expect((await run(way, 'end')).stdout).toBe('main\na thread\nat exit\n');
});

it.each(WAYS)('leaves running what a plugin has left behind: %s', async (way) => {
  const { process, dom0Root, stdout } = await start(way, 'daemon');
  expect(await process.ended).toEqual([0, null]);
  expect(await readFile(stdout, 'utf8')).toBe('0\n');
  await until(() => existsSync(join(dom0Root, 'daemon')));
});

it('says both ways what is wrong with a text that is no program', async () => {
  const { code, stderr } = await both('tell', '#!/usr/bin/env python3\nx = = 1\n');
  expect(code).toBe(1);
  expect(stderr).toContain('SyntaxError');
});

it.each(WAYS)('stands still, goes on and is killed by signals to its group: %s', async (way) => {
  const started = await start(way, 'wait');
  const [pid] = await ids(started);
  started.process.signal('SIGSTOP');
  await until(async () => (await stateOf(pid)) === 'T');
  await writeFile(join(started.dom0Root, 'go'), '');
  started.process.signal('SIGCONT');
  expect(await started.process.ended).toEqual([0, null]);
  started.process.signal('SIGKILL');
  const other = await start(way, 'wait');
  other.process.signal('SIGKILL');
  expect(await other.process.ended).toEqual([null, 'SIGKILL']);
});
