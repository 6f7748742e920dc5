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

const COMPILE = [
  'import marshal, sys',
  "sys.stdout.buffer.write(marshal.dumps(compile(sys.stdin.buffer.read(), 'plugin', 'exec')))",
].join('\n');

const codes = new Map<string, Promise<Buffer | undefined>>();

/**
 * The code of a Python program as its interpreter marshals it, compiled once for each text; undefined where it is no
 * program. `interpreter` is the command and its first arguments.
 */
export function compiled(interpreter: readonly string[], text: string): Promise<Buffer | undefined> {
  const key = `${interpreter.join(' ')}\n${text}`;
  let code = codes.get(key);
  if (!code) {
    code = compile(interpreter, text);
    codes.set(key, code);
  }
  return code;
}

async function compile(
  [command = '', ...words]: readonly string[],
  text: string,
): Promise<Buffer | undefined> {
  const env = { PATH: await pluginPath() };
  const running = promisify(execFile)(command, [...words, '-S', '-c', COMPILE], {
    ...{ env, encoding: 'buffer' as const, maxBuffer: 2 ** 24 },
  });
  running.child.stdin?.on('error', () => {}).end(text);
  return running.then(
    ({ stdout }) => stdout,
    () => undefined,
  );
}
