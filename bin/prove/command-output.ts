import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

/** A command has ended otherwise than well. */
export class CommandEnded extends Error {
  override readonly name = 'CommandEnded';
  readonly stderr: string;

  constructor(message: string, stderr: string) {
    super(message);
    this.stderr = stderr;
  }
}

/**
 * What a command prints. It is in a process group of its own: Ctrl-C at the terminal does not end it half-way through a
 * call of which nobody would know whether it was made, nor keeps what was made from being taken away.
 * @param variables beside those of this process
 * @throws CommandEnded, and what `spawn` gives where the command cannot be run
 */
export async function commandOutput(
  command: string,
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<string> {
  const child = spawn(command, args, {
    detached: true,
    env: { ...process.env, ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise<string | undefined>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) =>
      resolve(code === 0 ? undefined : `${command} ended with ${signal ?? `status ${code}`}`),
    );
  });
  const [stdout, stderr, wrong] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  if (wrong !== undefined) throw new CommandEnded(wrong, stderr);
  return stdout;
}
