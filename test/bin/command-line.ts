import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const XENSNAP = fileURLToPath(new URL('../../bin/xensnap.ts', import.meta.url));

/** In place of the user's own; it goes when the tests of a file are over. */
const STATE = mkdtempSync(join(tmpdir(), 'xensnap-state-'));
process.once('exit', () => rmSync(STATE, { recursive: true, force: true }));
/** Where Node keeps what it has compiled: each start would take it as long again. */
const COMPILED = fileURLToPath(new URL('../../node_modules/.cache/compiled', import.meta.url));

/** How a run of the command line ended. */
export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  /** Resolves once standard output holds `text`; rejects when it ends without. */
  printed(text: string): Promise<void>;
  /** Standard output so far. */
  firstLine(): string;
  /** All whole lines of it so far. */
  printedLines(): string[];
  /** Nothing comes from it until somebody writes. */
  readonly stdin: Writable;
  signal(signal: NodeJS.Signals): void;
  readonly pid: number;
  readonly ended: Promise<Ended>;
}

/** Starts `xensnap` as a process of its own, as a shell would. */
export function startXensnap(args: readonly string[], env: Record<string, string> = {}): Running {
  const child = spawn(process.execPath, [XENSNAP, ...args], {
    env: { PATH: process.env.PATH, XDG_STATE_HOME: STATE, NODE_COMPILE_CACHE: COMPILED, ...env },
    stdio: 'pipe',
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (status) => resolve({ status, stdout, stderr }));
  });
  return {
    ended,
    stdin: child.stdin,
    printedLines: () => stdout.split('\n').slice(0, -1),
    firstLine: () => stdout.split('\n')[0] ?? '',
    signal: (signal) => child.kill(signal),
    pid: child.pid ?? 0,
    printed: (text) =>
      new Promise((resolve, reject) => {
        const look = () => stdout.includes(text) && resolve();
        child.stdout.on('data', look);
        ended.then(() => reject(new Error(`it ended without ${text}: ${stdout}${stderr}`)));
        look();
      }),
  };
}

/** Runs `xensnap` to its end. */
export function xensnap(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return startXensnap(args, env).ended;
}
