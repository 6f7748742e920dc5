import { once } from 'node:events';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import type { Script } from './answers.ts';

/** A peer on a bare socket that answers as it should, but for one request. */
export interface HostileServer extends AsyncDisposable {
  readonly port: number;
  /** From now on the request number `at`, from 0, gets this answer. */
  attack(at: number, script: Script): void;
}

/** @param proper the whole answer to a request, told by its head and body */
export async function hostileServer(
  proper: (request: string) => string,
  tls?: TlsOptions,
): Promise<HostileServer> {
  const sockets = new Set<Socket>();
  let seen = 0;
  let attack: { at: number; script: Script } | undefined;
  const serve = (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
    let request = '';
    let isAnswered = false;
    socket.on('data', (data) => {
      if (isAnswered) return;
      request += data.toString('latin1');
      if (!isWhole(request)) return;
      // One answer a connection: what is left of it may still be read by the next.
      isAnswered = true;
      if (attack && seen++ === attack.at) play(socket, attack.script);
      else socket.end(proper(request));
    });
  };
  const server = tls ? createTlsServer(tls, serve) : createTcpServer(serve);
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as { port: number }).port,
    attack(at, script) {
      for (const socket of sockets) socket.destroy();
      attack = { at, script };
      seen = 0;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function isWhole(request: string): boolean {
  const head = request.indexOf('\r\n\r\n') + 4;
  const length = Number(/^content-length: (\d+)/im.exec(request)?.[1] ?? 0);
  return head > 3 && request.length >= head + length;
}

function play(socket: Socket, { pieces, ending }: Script): void {
  for (const piece of pieces) socket.write(piece);
  if (ending === 'end') socket.end();
  if (ending === 'break') setImmediate(() => socket.destroy());
  if (ending !== 'flood') return;
  const unit = pieces.at(-1) ?? 'x';
  const more = () => {
    while (socket.writable && socket.write(unit));
    if (socket.writable) socket.once('drain', more);
  };
  more();
}
