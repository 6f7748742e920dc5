import { isUtf8 } from 'node:buffer';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { dispatch } from './dispatch.ts';
import { EXPORT_PATH, exportRawVdi } from './export.ts';
import { asFailure, ConnectionCut } from './failure.ts';
import { refuse, send } from './http-answer.ts';
import { decodeJsonCall, encodeJsonFailure, encodeJsonSuccess } from './jsonrpc.ts';
import type { Host, PoolState } from './state.ts';
import type { Value } from './value.ts';
import { decodeCall, encodeFailure, encodeRaw, encodeSuccess, type MethodCall } from './xmlrpc.ts';

/** http_limit_max_rpc_size of constants.ml. */
const MAX_BODY_BYTES = 300 * 1024;
/** max_header_length_tcp: the request line and all headers together. */
const MAX_HEADER_BYTES = 1024;

const KEEP_ALIVE_MILLISECONDS = 300_000;

/** A listening server of one host, on its network port or its control domain's socket. */
export interface Listener {
  readonly port: number;
  /** Cuts every connection and refuses new ones. */
  stop(): Promise<void>;
  /** Listens again where it did. */
  start(): Promise<void>;
}

export interface ListenOptions {
  readonly channel: 'tcp' | 'unix';
  /** A port of 127.0.0.1, or a socket's path. */
  readonly at: number | string;
  readonly tls?: { readonly key: string; readonly cert: string };
}

export async function listen(
  pool: PoolState,
  host: Host,
  { channel, at, tls }: ListenOptions,
): Promise<Listener> {
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    void handle(pool, host, channel, request, response);
  };
  const server: Server = tls
    ? createTlsServer({ ...tls, minVersion: 'TLSv1.2' }, answer)
    : createServer(answer);
  server.maxHeadersCount = 0;
  server.requestTimeout = 0;
  server.keepAliveTimeout = KEEP_ALIVE_MILLISECONDS;
  const sockets = new Set<Socket>();
  server.on(tls ? 'secureConnection' : 'connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  let bound = at;
  const start = async (): Promise<void> => {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      const ready = (): void => {
        server.off('error', reject);
        resolve();
      };
      if (typeof bound === 'string') server.listen(bound, ready);
      else server.listen(bound, '127.0.0.1', ready);
    });
    if (typeof bound === 'number') bound = (server.address() as AddressInfo).port;
  };
  await start();
  return {
    get port() {
      return typeof bound === 'number' ? bound : 0;
    },
    start: async () => {
      if (!server.listening) await start();
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
        server.closeAllConnections();
      }),
  };
}

async function handle(
  pool: PoolState,
  host: Host,
  channel: 'tcp' | 'unix',
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    await host.hang?.over;
    if (channel === 'tcp' && headerBytes(request) > MAX_HEADER_BYTES) {
      return refuse(request, response, 431, 'HTTP 431 request header fields too large');
    }
    const path = (request.url ?? '').split('?')[0];
    if (request.method === 'GET' && path === EXPORT_PATH)
      return await exportRawVdi(pool, { host, channel, request, response });
    if (request.method !== 'POST') return refuse(request, response, 404, 'HTTP 404 Not Found');
    const length = request.headers['content-length'];
    // xapi fails with an internal error here, it has no better answer.
    if (length === undefined)
      return refuse(request, response, 500, 'We require a content-length: HTTP header');
    if (Number(length) > MAX_BODY_BYTES)
      return refuse(request, response, 500, 'Client_requested_size_over_limit');
    const body = await readBody(request);
    const answer = path === '/jsonrpc' ? answerJson : answerXml;
    const { text, contentType } = await answer(body, ({ method, params }) =>
      dispatch(pool, { host, channel, method, params }),
    );
    send(response, text, contentType);
  } catch (error) {
    if (error instanceof ConnectionCut) request.socket.destroy();
    else if (!response.headersSent && !request.socket.destroyed)
      refuse(request, response, 500, asFailure(error).message);
  }
}

type Perform = (call: MethodCall) => Promise<Value>;

interface Answer {
  readonly text: string;
  readonly contentType: string;
}

async function answerXml(body: Buffer, perform: Perform): Promise<Answer> {
  const contentType = 'text/xml';
  if (!isUtf8(body)) return { text: encodeFailure(INVALID_UTF8), contentType };
  const call = decodeCall(body.toString('utf8'));
  const text = await outcome(
    () => perform(call),
    call.method === 'system.listMethods' ? encodeRaw : encodeSuccess,
    encodeFailure,
  );
  return { text, contentType };
}

async function answerJson(body: Buffer, perform: Perform): Promise<Answer> {
  const call = decodeJsonCall(body.toString('utf8'));
  const text = await outcome(
    () => perform(call),
    (value) => encodeJsonSuccess(call, value),
    (description) => encodeJsonFailure(call, description),
  );
  return { text, contentType: 'application/json' };
}

const INVALID_UTF8 = ['INVALID_VALUE', 'Invalid UTF-8 string in parameter', ''];

async function outcome(
  perform: () => Promise<Value>,
  success: (value: Value) => string,
  failure: (description: string[]) => string,
): Promise<string> {
  try {
    return success(await perform());
  } catch (error) {
    if (error instanceof ConnectionCut) throw error;
    return failure(asFailure(error).description);
  }
}

function headerBytes({ method = '', url = '', rawHeaders }: IncomingMessage): number {
  const line = `${method} ${url} HTTP/1.1\r\n`.length;
  const headers = rawHeaders.reduce((sum, part) => sum + Buffer.byteLength(part) + 2, 0);
  return line + headers + 2;
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}
