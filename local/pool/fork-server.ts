import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { constants } from 'node:os';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { pluginPath } from './interpreter.ts';
import type { Ending, PluginCall, PluginProcess } from './plugin-process.ts';

const SERVER_FILE = fileURLToPath(new URL('fork-server.py', import.meta.url));

/** What a plugin's process has its own names written over. No control domain's root is longer: a socket lies below it. */
const PLACE = '-'.repeat(255);

/** A plugin that a server was asked for. */
interface Running {
  pid?: number;
  /** The signals that wait for its start. */
  readonly signals: NodeJS.Signals[];
  readonly end: (ending: Ending) => void;
}

/** A line of the server's: it is ready, a plugin has started, or has ended. */
interface Told {
  readonly id?: number;
  readonly pid?: number;
  readonly code?: number | null;
  readonly signal?: number | null;
}

/** A running server, which keeps this process alive as long as a plugin of it runs. */
class ForkServer {
  readonly #child: ChildProcess;
  readonly #running = new Map<number, Running>();
  #lastId = 0;

  constructor(child: ChildProcess, lines: Interface) {
    this.#child = child;
    lines.on('line', (line) => this.#told(JSON.parse(line)));
    child.once('exit', () => this.#over());
    this.#keepAlive(false);
  }

  run({ file, argument, dom0Root, stdout, stderr }: PluginCall): PluginProcess {
    const { promise, resolve } = Promise.withResolvers<Ending>();
    const id = ++this.#lastId;
    const running: Running = { signals: [], end: resolve };
    this.#running.set(id, running);
    this.#keepAlive(true);
    const header = Buffer.from(JSON.stringify({ id, file, dom0Root, stdout, stderr }));
    const call = Buffer.from(argument);
    const lengths = Buffer.alloc(8);
    lengths.writeUInt32BE(header.length);
    lengths.writeUInt32BE(call.length, 4);
    this.#child.stdin?.write(Buffer.concat([lengths, header, call]));
    return {
      ended: promise,
      signal: (signal) => {
        if (!this.#running.has(id)) return;
        if (running.pid === undefined) running.signals.push(signal);
        else signalGroup(running.pid, signal);
      },
    };
  }

  #told({ id = 0, pid, code = null, signal = null }: Told): void {
    const running = this.#running.get(id);
    if (!running) return;
    if (pid !== undefined) {
      running.pid = pid;
      for (const each of running.signals.splice(0)) signalGroup(pid, each);
      return;
    }
    this.#running.delete(id);
    if (this.#running.size === 0) this.#keepAlive(false);
    running.end([code, signal === null ? null : nameOf(signal)]);
  }

  /** Without the server nobody learns how its plugins end: they are ended. */
  #over(): void {
    for (const { pid, end } of this.#running.values()) {
      if (pid !== undefined) signalGroup(pid, 'SIGKILL');
      end([null, 'SIGKILL']);
    }
    this.#running.clear();
  }

  #keepAlive(doKeep: boolean): void {
    const { stdin, stdout } = this.#child as { stdin: Socket | null; stdout: Socket | null };
    for (const each of [this.#child, stdin, stdout]) {
      if (doKeep) each?.ref();
      else each?.unref();
    }
  }
}

function nameOf(number: number): NodeJS.Signals | null {
  const found = Object.entries(constants.signals).find(([, each]) => each === number);
  return (found?.[0] ?? null) as NodeJS.Signals | null;
}

/** The server may have taken note of its end already, and be about to tell. */
function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

const servers = new Map<string, Promise<ForkServer | undefined>>();

/**
 * The fork server of a Python interpreter, one for this process: started on demand, it ends with this process. Undefined
 * where there can be none. `interpreter` is the command and its first arguments.
 */
export function forkServer(interpreter: readonly string[]): Promise<ForkServer | undefined> {
  const key = interpreter.join(' ');
  let server = servers.get(key);
  if (!server) {
    server = startServer(interpreter, () => servers.delete(key));
    servers.set(key, server);
  }
  return server;
}

async function startServer(
  [command = '', ...words]: readonly string[],
  onExit: () => void,
): Promise<ForkServer | undefined> {
  const server = spawn(command, [...words, '-S', SERVER_FILE, PLACE], {
    cwd: '/',
    env: { PATH: await pluginPath(), XENSNAP_DOM0_ROOT: PLACE },
    stdio: ['pipe', 'pipe', 'ignore'],
    // What a terminal sends to this process is not for the plugins.
    detached: true,
  });
  server.stdin.on('error', () => {});
  const lines = createInterface({ input: server.stdout });
  const isReady = once(lines, 'line').then(
    () => true,
    () => false,
  );
  const isOver = once(server, 'exit').then(
    () => false,
    () => false,
  );
  if (!(await Promise.race([isReady, isOver]))) return undefined;
  void isOver.then(onExit);
  return new ForkServer(server, lines);
}
