import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** AWS's own runtime interface client, which run.sh has installed. */
const CLIENT = process.env.XENSNAP_RIC ?? 'run-with-test-ric';

/** How an invocation ended. */
export interface Outcome {
  /** What the handler gave; undefined where it failed. */
  readonly answer?: unknown;
  /** The error's name as Step Functions is told it. */
  readonly error?: string;
  readonly message?: string;
}

export interface Lambda {
  invoke(event: unknown): Promise<Outcome>;
  /** The most memory that its process has had so far. */
  peakMib(): number;
  readonly output: string;
  close(): Promise<void>;
}

interface Work {
  readonly id: string;
  readonly event: unknown;
}

/**
 * One execution environment of a function: a process of its own under AWS's client, which asks the Runtime API for work
 * as in Lambda. What a process's end and a time-out are called is Lambda's to say, and stands here as its documents have
 * it; all other names are what the client sends.
 * @param folder has the code
 */
export async function startLambda(
  folder: string,
  settings: {
    readonly seconds: number;
    readonly environment: Readonly<Record<string, string>>;
    readonly flags?: readonly string[];
  },
): Promise<Lambda> {
  let asking: ((work: Work) => void) | undefined;
  let waiting: Work | undefined;
  let ending: ((outcome: Outcome) => void) | undefined;
  const server = createServer((request, response) => void serve(request, response));
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const body = Buffer.concat(await request.toArray()).toString();
    const what = (request.url ?? '').split('/').slice(3).join('/');
    if (what === 'invocation/next') {
      const { promise, resolve } = Promise.withResolvers<Work>();
      if (!waiting) asking = resolve;
      const { id, event } = waiting ?? (await promise);
      waiting = undefined;
      response.writeHead(200, {
        'content-type': 'application/json',
        'Lambda-Runtime-Aws-Request-Id': id,
        'Lambda-Runtime-Deadline-Ms': String(Date.now() + settings.seconds * 1000),
        'Lambda-Runtime-Invoked-Function-Arn': 'arn:aws:lambda:us-east-1:123456789012:function:xensnap:7',
        'Lambda-Runtime-Trace-Id': 'Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0',
      });
      response.end(JSON.stringify(event));
      return;
    }
    response.writeHead(202).end('{"status":"OK"}');
    if (what.endsWith('/response')) ending?.({ answer: JSON.parse(body) });
    else {
      const { errorType, errorMessage } = JSON.parse(body) as { errorType: string; errorMessage: string };
      ending?.({ error: errorType, message: errorMessage });
    }
  };
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  let output = '';
  const child: ChildProcess = spawn(process.execPath, [...(settings.flags ?? []), CLIENT], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${port}`,
      AWS_LAMBDA_FUNCTION_NAME: 'xensnap',
      AWS_LAMBDA_FUNCTION_VERSION: '7',
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '128',
      AWS_LAMBDA_LOG_GROUP_NAME: 'xensnap',
      AWS_LAMBDA_LOG_STREAM_NAME: 'one',
      _HANDLER: 'index.handler',
      LAMBDA_TASK_ROOT: folder,
      ...settings.environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (data) => {
      output += data;
    });
  const ended = new Promise<Outcome>((resolve) => {
    child.once('exit', (code, signal) =>
      resolve({ error: 'Runtime.ExitError', message: signal ?? `exit status ${code}` }),
    );
  });
  return {
    async invoke(event) {
      const { promise, resolve } = Promise.withResolvers<Outcome>();
      ending = resolve;
      const work = { id: randomUUID(), event };
      if (asking) asking(work);
      else waiting = work;
      asking = undefined;
      const over = setTimeout(() => {
        resolve({ error: 'Sandbox.Timedout' });
        child.kill('SIGKILL');
      }, settings.seconds * 1000);
      try {
        return await Promise.race([promise, ended]);
      } finally {
        clearTimeout(over);
      }
    },
    peakMib() {
      const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8')) ?? [];
      return Math.round(Number(kib) / 1024);
    },
    get output() {
      return output;
    },
    async close() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await ended;
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}
