import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { XapiFailure } from '../failure.ts';
import { startPlugin } from '../start-plugin.ts';
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
async function execute(pool: PoolState, host: Host, file: string, argument: string): Promise<Outcome> {
  const { dom0Root } = host;
  const folder = await mkdtemp(join(dom0Root, 'tmp/plugin-'));
  try {
    const [stdout, stderr] = [join(folder, 'stdout'), join(folder, 'stderr')];
    const plugin = await startPlugin({ file, argument, dom0Root, stdout, stderr });
    pool.plugins.set(plugin, host);
    // What befell the host while it was being started.
    if (pool.stopped.aborted || host.power.signal.aborted) plugin.signal('SIGKILL');
    else if (host.hang) plugin.signal('SIGSTOP');
    const [code, signal] = await plugin.ended;
    pool.plugins.delete(plugin);
    return { code, signal, stdout: await outputIn(stdout), stderr: await outputIn(stderr) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A plugin that was killed early has not opened its output. */
function outputIn(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
}

/** Waits until no plugin runs: one that has written its result takes a moment to exit. Not longer than `seconds`. */
export async function pluginsEnded({ plugins }: PoolState, seconds: number): Promise<void> {
  const over = new AbortController();
  await Promise.race([
    Promise.all([...plugins.keys()].map(({ ended }) => ended)),
    delay(seconds * 1000, undefined, { ref: false, signal: over.signal }).catch(() => {}),
  ]);
  over.abort();
}

/** Ends the plugins that still run, with what they have started; those of one host, or all. */
export async function endPlugins(pool: PoolState, host?: Host): Promise<void> {
  const running = [...pool.plugins].filter(([, on]) => !host || on === host).map(([plugin]) => plugin);
  signalPlugins(pool, host, 'SIGKILL');
  await Promise.all(running.map(({ ended }) => ended));
}

/** Sends a signal to each plugin of the host and to what it has started. */
export function signalPlugins({ plugins }: PoolState, host: Host | undefined, signal: NodeJS.Signals): void {
  for (const [plugin, on] of plugins) if (!host || on === host) plugin.signal(signal);
}
