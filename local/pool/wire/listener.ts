import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, Server as TlsServer } from 'node:tls';
import type { Certificate, Host, Listener, PoolState } from '../state.ts';
import { serveConnection } from './http.ts';

export interface ListenOptions {
  readonly channel: 'tcp' | 'unix';
  /** A port of 127.0.0.1, or a socket's path. */
  readonly at: number | string;
  readonly tls?: Certificate;
}

export async function listen(
  pool: PoolState,
  host: Host,
  { channel, at, tls }: ListenOptions,
): Promise<Listener> {
  const serve = (socket: Socket): void => {
    void serveConnection(pool, host, channel, socket);
  };
  const common = { allowHalfOpen: true, noDelay: true };
  const server: Server = tls
    ? createTlsServer({ ...common, ...tls, minVersion: 'TLSv1.2' }, serve)
    : createServer(common, serve);
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
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
      }),
    renew: (certificate) => {
      if (server instanceof TlsServer) server.setSecureContext({ ...certificate, minVersion: 'TLSv1.2' });
    },
  };
}
