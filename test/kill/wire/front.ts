import { once } from 'node:events';
import { request as ask, createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Arrival, Origin } from './call.ts';
import { carryOut, type Exchange, type Reply } from './faults.ts';
import { asNobody, ORIGIN_HEADER, OUTSIDE, read } from './origin.ts';
import type { Wire } from './wire.ts';

/** What stands before one server. */
export interface Front {
  readonly url: string;
  close(): Promise<void>;
}

/** What a kind of server has of its own. */
export interface Kind extends Pick<Exchange, 'refusal'> {
  /** What a request is; its body is asked for only where that must be known. */
  describe(request: IncomingMessage, body: Buffer | undefined): Pick<Arrival, 'to' | 'name' | 'args'>;
  /** Whose a request is that says nothing of it, such as one of the plugin. */
  originOf?(request: IncomingMessage): Partial<Origin>;
  /** Whether a request's body is read whole before it is passed on. */
  readonly readsBody: boolean;
  /** Changes an answer on its way, such as the addresses in it. */
  rewrite?(reply: Reply): Reply;
}

/** Servers whose requests are the wire's own business. */
export const fronts = new WeakSet<object>();

/** Headers that are of one connection, or of the wire. */
const OF_THE_WAY: ReadonlySet<string> = new Set([
  ...['host', 'connection', 'keep-alive', 'expect', 'transfer-encoding', 'content-length', ORIGIN_HEADER],
]);

/** Stands before the server at `upstream`, or before `handle` where that is one itself. */
export async function startProxy(
  wire: Wire,
  kind: Kind,
  upstream: string | ((request: IncomingMessage, body: Buffer) => Reply),
): Promise<Front> {
  const server = createServer();
  fronts.add(server);
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const origin: Origin = {
      ...{ wire, generation: OUTSIDE, who: 'nobody' },
      ...(read(request.headers[ORIGIN_HEADER]) ?? kind.originOf?.(request)),
    };
    const needsBody = kind.readsBody || upstream instanceof Function;
    const body = needsBody ? Buffer.concat(await request.toArray()) : undefined;
    const fault = wire.arrive({ ...kind.describe(request, body), origin });
    const rewrite = kind.rewrite ?? ((reply: Reply) => reply);
    const send = (reply: Reply) => {
      // What a killed service had asked for, nobody is told.
      if (wire.isDead(origin)) return request.socket.destroy();
      const { status, headers, body } = reply;
      response.writeHead(status, { ...headers, 'content-length': body.length });
      return response.end(body);
    };
    await carryOut(fault, {
      refusal: kind.refusal,
      effect: async () =>
        rewrite(
          upstream instanceof Function
            ? upstream(request, body ?? Buffer.alloc(0))
            : await asNobody(() => passOn(request, body, upstream)),
        ),
      send: (reply) => void send(reply),
      sendHalf({ status, headers, body }) {
        // An answer without a body is cut off, too.
        response.writeHead(status, { ...headers, 'content-length': Math.max(body.length, 1) });
        response.write(body.subarray(0, Math.floor(body.length / 2)), () => request.socket.destroy());
      },
      cut: () => void request.socket.destroy(),
    });
  };
  for (const event of ['request', 'checkContinue'])
    server.on(event, (request: IncomingMessage, response: ServerResponse) => {
      if (event === 'checkContinue') response.writeContinue();
      // A server that is not there, or hangs up: so does who stands before it.
      serve(request, response).catch(() => request.socket.destroy());
    });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function passOn(request: IncomingMessage, body: Buffer | undefined, upstream: string): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const headers = Object.fromEntries(
      Object.entries(request.headers).filter(([name]) => !OF_THE_WAY.has(name)),
    );
    const length = body?.length ?? request.headers['content-length'];
    const there = ask(`${upstream}${request.url}`, {
      method: request.method ?? 'GET',
      headers: { ...headers, ...(length !== undefined && { 'content-length': length }) },
      agent: false,
    });
    there.once('error', reject);
    there.once('response', (answer) => {
      answer.toArray().then((pieces) => {
        const { 'content-length': _, 'transfer-encoding': __, connection: ___, ...kept } = answer.headers;
        const reply = { status: answer.statusCode ?? 0, headers: kept as Reply['headers'] };
        resolve({ ...reply, body: Buffer.concat(pieces) });
      }, reject);
    });
    if (body) there.end(body);
    else {
      request.pipe(there);
      request.once('close', () => request.complete || there.destroy());
    }
  });
}
