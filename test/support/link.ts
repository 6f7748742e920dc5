import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** What becomes of connections that carry much, such as uploads. */
export interface LinkOptions {
  /** Bytes in that direction after which a connection is one of those. */
  readonly afterBytes: number;
  /** `up`, from the client, unless told: uploads. `down`: downloads. */
  readonly direction?: 'up' | 'down';
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
export async function startLink(
  target: string,
  { afterBytes, direction = 'up', effect, times }: LinkOptions,
): Promise<Link> {
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
    const [from, to] = direction === 'up' ? [client, upstream] : [upstream, client];
    to.pipe(from);
    let bytes = 0;
    from.on('data', (piece: Buffer) => {
      bytes += piece.length;
      if (bytes > afterBytes && count < times) {
        count += 1;
        from.pause();
        struck.resolve();
        if (effect === 'cut') client.resetAndDestroy();
      } else if (!to.write(piece)) {
        from.pause();
        to.once('drain', () => from.resume());
      }
    });
    from.on('end', () => to.end());
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
