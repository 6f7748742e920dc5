import { execFile } from 'node:child_process';
import { dirname } from 'node:path';
import { promisify } from 'node:util';

let path: Promise<string> | undefined;

/**
 * The PATH on which a control domain's plugins find `python3`. Version managers put a script in its place that looks
 * for the interpreter anew at each start, which takes longer than the plugin: the interpreter's own folder comes first.
 */
export function pluginPath(): Promise<string> {
  path ??= findInterpreter();
  return path;
}

async function findInterpreter(): Promise<string> {
  const inherited = process.env.PATH ?? '/usr/bin:/bin';
  try {
    const { stdout } = await promisify(execFile)('python3', ['-c', 'import sys; print(sys.executable)']);
    return `${dirname(stdout.trim())}:${inherited}`;
  } catch {
    // No python3: the plugin's start will say so.
    return inherited;
  }
}
