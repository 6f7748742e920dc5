import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, constants, open, readFile } from 'node:fs/promises';
import { forkServer } from './fork-server.ts';
import { pluginPath } from './interpreter.ts';
import type { Ending, PluginCall, PluginProcess } from './plugin-process.ts';

const CANNOT_EXECUTE = 126;

/**
 * Runs a Python file with one argument that is not on the command line: there every user of this machine could read the
 * session, and with it have all that the pool has. A real control domain has no other users.
 */
const RUN_PRIVATELY = [
  'import os, sys',
  `sys.path.insert(0, ${JSON.stringify(import.meta.dirname)})`,
  'sys.dont_write_bytecode = True',
  'import full_device',
  'sys.path.pop(0)',
  "full_device.bound_writes(os.environ['XENSNAP_DOM0_ROOT'])",
  "sys.argv = [sys.argv[1], os.fsdecode(os.environb.pop(b'XENSNAP_PLUGIN_CALL'))]",
  "exec(compile(open(sys.argv[0], 'rb').read(), 'plugin', 'exec'), {'__name__': '__main__', '__file__': sys.argv[0]})",
].join('\n');

/** Executes a plugin; one in Python by its interpreter's fork server, which takes a fraction of the time. */
export async function startPlugin(call: PluginCall): Promise<PluginProcess> {
  const interpreter = await pythonOf(call.file);
  const server = interpreter && (await forkServer(interpreter));
  return server ? server.run(call) : startAlone(call, interpreter);
}

/** Executes a plugin as a process that starts its interpreter, which is the given one if it is Python. */
export async function startAlone(
  { file, argument, dom0Root, stdout, stderr }: PluginCall,
  interpreter?: readonly string[],
): Promise<PluginProcess> {
  const [command = file, ...words] = interpreter ?? [];
  // The plugin has only the standard library (-S): looking for more would take longer than it takes to start.
  const args = interpreter ? [...words, '-S', '-c', RUN_PRIVATELY, file] : [argument];
  const env = {
    PATH: await pluginPath(),
    XENSNAP_DOM0_ROOT: dom0Root,
    ...(interpreter && { XENSNAP_PLUGIN_CALL: argument }),
  };
  await using output = await open(stdout, 'w+');
  await using errors = await open(stderr, 'w+');
  const stdio = ['ignore' as const, output.fd, errors.fd];
  const child = spawn(command, args, { cwd: '/', env, stdio, detached: true });
  const ended = once(child, 'exit').then(
    (ending) => ending as unknown as Ending,
    (): Ending => [CANNOT_EXECUTE, null],
  );
  return {
    ended,
    signal: (signal) => {
      const isRunning = child.exitCode === null && child.signalCode === null;
      if (child.pid !== undefined && isRunning) process.kill(-child.pid, signal);
    },
  };
}

/** The command and first arguments of a Python file's interpreter; undefined where it is another's, or not executable. */
export async function pythonOf(file: string): Promise<string[] | undefined> {
  const isExecutable = await access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
  const [first = ''] = (isExecutable ? await readFile(file, 'utf8') : '').split('\n', 1);
  const words = first.startsWith('#!') ? first.slice(2).trim().split(' ') : [];
  return words.some((word) => /(^|\/)python[0-9.]*$/.test(word)) ? words : undefined;
}
