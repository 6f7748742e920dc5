import { type Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Environment } from '../../functions/runtime/environment.ts';
import { askedOf } from './iam/asked.ts';
import type { Call } from './iam/rights.ts';
import type { Place } from './resolved.ts';

/** What AWS was called for, and by whom. */
export interface AwsCalls {
  /** Each once. */
  made(): readonly Call[];
  /** For what is called by other ways than an endpoint. */
  note(call: Call): void;
  /** The name in the stack of the state machine that a job was started on. */
  machineOf(jobId: string): string;
  /** The endpoints for a function: each leads to the real one, and is remembered. */
  endpointsOf(name: string): Record<string, string>;
  close(): Promise<void>;
}

export interface WatchOptions {
  readonly place: Place;
  /** The state machines' names in the stack, by their ARNs. */
  readonly machines: ReadonlyMap<string, string>;
  /** The way to the endpoints, where it is not the network. */
  readonly agent?: Agent;
}

/** Stands between the functions and AWS's stand-ins, and notes which function calls what, on what. */
export async function watchAwsCalls(
  environment: Environment,
  { place, machines, agent }: WatchOptions,
): Promise<AwsCalls> {
  const endpoints = Object.entries(environment).filter(([name]) => name.startsWith('AWS_ENDPOINT_URL_'));
  const made = new Map<string, Call>();
  const note = (call: Call) => void made.set(JSON.stringify(call), call);
  const started = new Map<string, string>();
  const server = createServer(async (incoming, answer) => {
    const [, name = '', variable = '', ...path] = (incoming.url ?? '').split('/');
    const body = await read(incoming);
    const asked = JSON.parse(body.toString() || '{}');
    const { action, resources } = askedOf(String(incoming.headers['x-amz-target']), asked, {
      place,
      machines: [...machines.keys()],
    });
    for (const resource of resources) note({ caller: name, action, resource });
    if (action === 'states:StartExecution')
      started.set(asked.name, machines.get(asked.stateMachineArn) ?? 'unknown');
    const url = new URL(path.join('/'), `${environment[variable]}/`);
    forward({ incoming, body, url, ...(agent && { agent }) }, answer);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  return {
    made: () => [...made.values()],
    note,
    machineOf: (jobId) => started.get(jobId) ?? `no machine of the job ${jobId}`,
    endpointsOf: (name) =>
      Object.fromEntries(
        endpoints.map(([variable]) => [variable, `http://127.0.0.1:${port}/${name}/${variable}`]),
      ),
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}

/** Hands a request on as it is, and its answer back. */
export function forward(
  { incoming, body, url, agent }: { incoming: IncomingMessage; body: Buffer; url: URL; agent?: Agent },
  answer: ServerResponse,
): void {
  const forwarded = request(url, {
    method: incoming.method,
    headers: { ...incoming.headers, host: url.host },
    ...(agent && { agent }),
  });
  forwarded.on('response', (response) => {
    answer.writeHead(response.statusCode ?? 500, response.headers);
    response.pipe(answer);
  });
  forwarded.on('error', () => answer.destroy());
  answer.on('close', () => forwarded.destroy());
  forwarded.end(body);
}

/** The whole of a request's body. */
export async function read(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
