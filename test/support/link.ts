import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** What becomes of connections that carry much, such as uploads. */
export interface LinkOptions {
  /** Bytes from the client after which a connection is one of those. */
  readonly afterBytes: number;
  /** `hold`: nothing more goes through, the ends stay. `cut`: both ends are reset. */
  readonly effect: 'hold' | 'cut';
  /** How many connections are affected; all later ones go through. */
  readonly times: number;
}

/** A way to a server that is bad in a known place. */
export interface Link {
  readonly url: string;
  /** Resolves when a connection has been held or cut for the first time. */
  readonly struck: Promise<void>;
  /** How many it has befallen. */
  count(): number;
  close(): Promise<void>;
}

/** Listens on loopback and hands everything on to the server at `target`. */
export async function startLink(target: string, { afterBytes, effect, times }: LinkOptions): Promise<Link> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  const struck = Promise.withResolvers<void>();
  let count = 0;
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    for (const [here, there] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(here);
      here
        .on('error', () => there.destroy())
        .on('close', () => {
          sockets.delete(here);
          there.destroy();
        });
    }
    upstream.pipe(client);
    let bytes = 0;
    client.on('data', (piece: Buffer) => {
      bytes += piece.length;
      if (bytes > afterBytes && count < times) {
        count += 1;
        client.pause();
        struck.resolve();
        if (effect === 'cut') client.resetAndDestroy();
      } else if (!upstream.write(piece)) {
        client.pause();
        upstream.once('drain', () => client.resume());
      }
    });
    client.on('end', () => upstream.end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    struck: struck.promise,
    count: () => count,
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
