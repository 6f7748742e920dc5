import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, constants, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { XapiFailure } from '../failure.ts';
import { compiled, pluginPath } from '../interpreter.ts';
import type { Host, PoolState } from '../state.ts';
import { encodePluginCall, readOutput } from '../wire/plugin-wire.ts';

/**
 * `host.call_plugin` (xapi_plugins.ml): executes the file in the host's plugin folder with one argument and no standard
 * input, however long it takes, whether or not the caller is still there, and reads its standard output. The
 * environment names the simulated control domain's root; of a real one a plugin gets no environment.
 */
export async function callPlugin(
  pool: PoolState,
  host: Host,
  session: string,
  plugin: string,
  fn: string,
  args: Record<string, string>,
): Promise<string> {
  const folder = join(host.dom0Root, 'etc/xapi.d/plugins');
  const installed = await readdir(folder).catch((): string[] => []);
  if (!installed.includes(plugin)) throw new XapiFailure('XENAPI_MISSING_PLUGIN', plugin);
  // A file that cannot be executed ends like a plugin that fails, without a word.
  const { code, signal, stdout, stderr } = await execute(
    pool,
    host,
    join(folder, plugin),
    encodePluginCall(fn, session, args),
  );
  if (signal) throw new XapiFailure('XENAPI_PLUGIN_FAILURE', `signal: ${signal}`, stdout, stderr);
  if (code !== 0) throw new XapiFailure('XENAPI_PLUGIN_FAILURE', 'non-zero exit', stdout, stderr);
  return readOutput(stdout);
}

interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * The output goes to files, as in a real control domain: what the plugin leaves running behind it may keep them open
 * without holding up the answer.
 */
async function execute(pool: PoolState, host: Host, file: string, call: string): Promise<Outcome> {
  const { dom0Root } = host;
  const env = { PATH: await pluginPath(), XENSNAP_DOM0_ROOT: dom0Root };
  const folder = await mkdtemp(join(dom0Root, 'tmp/plugin-'));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const stdout = await open(join(folder, 'stdout'), 'w+');
  stack.defer(() => stdout.close());
  const stderr = await open(join(folder, 'stderr'), 'w+');
  stack.defer(() => stderr.close());
  // A process group of its own: it lives on when a terminal stops the pool, and is ended as a whole.
  const stdio = ['ignore' as const, stdout.fd, stderr.fd];
  const [command, args, more] = await commandOf(file, call, folder);
  const child = spawn(command, args, { cwd: '/', env: { ...env, ...more }, stdio, detached: true });
  if (child.pid !== undefined) pool.plugins.set(child, host);
  child.once('exit', () => pool.plugins.delete(child));
  const [code, signal] = await exitOf(child);
  return {
    code,
    signal,
    stdout: await readFile(join(folder, 'stdout'), 'utf8'),
    stderr: await readFile(join(folder, 'stderr'), 'utf8'),
  };
}

/**
 * Runs a Python file with one argument that is not on the command line: there every user of this machine could read the
 * session, and with it have all that the pool has. A real control domain has no other users. What runs is the file's
 * code as it was compiled before, since most of a short call's time would go into compiling it.
 */
const RUN_PRIVATELY = [
  'import marshal, os, sys',
  "code = marshal.loads(open(sys.argv[2], 'rb').read())",
  "sys.argv = [sys.argv[1], os.fsdecode(os.environb.pop(b'XENSNAP_PLUGIN_CALL'))]",
  "exec(code, {'__name__': '__main__', '__file__': sys.argv[0]})",
].join('\n');

/** How a plugin is executed: the command, its arguments, and what else its environment has to hold. */
async function commandOf(
  file: string,
  call: string,
  folder: string,
): Promise<[string, string[], Record<string, string>?]> {
  const isExecutable = await access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
  const text = isExecutable ? await readFile(file, 'utf8') : '';
  const [first = ''] = text.split('\n', 1);
  const [command = '', ...words] = first.startsWith('#!') ? first.slice(2).trim().split(' ') : [];
  if (![command, ...words].some((word) => /(^|\/)python[0-9.]*$/.test(word))) return [file, [call]];
  const code = await compiled([command, ...words], text);
  // Python will say what is wrong with it.
  if (code === undefined) return [command, [...words, file]];
  await writeFile(join(folder, 'code'), code);
  // The plugin has only the standard library (-S): looking for more would take longer than it takes to start.
  const args = [...words, '-S', '-c', RUN_PRIVATELY, file, join(folder, 'code')];
  return [command, args, { XENSNAP_PLUGIN_CALL: call }];
}

async function exitOf(child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  try {
    return (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  } catch {
    return [CANNOT_EXECUTE, null];
  }
}

const CANNOT_EXECUTE = 126;

/** Waits until no plugin runs: one that has written its result takes a moment to exit. Not longer than `seconds`. */
export async function pluginsEnded({ plugins }: PoolState, seconds: number): Promise<void> {
  const signal = AbortSignal.timeout(seconds * 1000);
  await Promise.allSettled(
    [...plugins.keys()].filter(isRunning).map((child) => once(child, 'exit', { signal })),
  );
}

/** Ends the plugins that still run, with what they have started; those of one host, or all. */
export async function endPlugins(pool: PoolState, host?: Host): Promise<void> {
  const running = [...pool.plugins].filter(([, on]) => !host || on === host).map(([child]) => child);
  const ended = running.filter(isRunning).map((child) => once(child, 'exit'));
  signalPlugins(pool, host, 'SIGKILL');
  await Promise.all(ended);
}

/** Sends a signal to each plugin of the host and to what it has started. */
export function signalPlugins({ plugins }: PoolState, host: Host | undefined, signal: NodeJS.Signals): void {
  for (const [child, on] of plugins) {
    if ((host && on !== host) || child.pid === undefined || !isRunning(child)) continue;
    process.kill(-child.pid, signal);
  }
}

function isRunning({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null;
}
