import { once } from 'node:events';
import { createServer as createHttp, type Server } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { type LocalClock, localClock } from '../clock.ts';
import { ownHosts, refusalOf } from '../own-callers.ts';
import { takes } from '../token.ts';
import { endBody } from './body.ts';
import { createFaults, type Faults } from './faults.ts';
import { followFraming, type Stop } from './framing.ts';
import { type ImageRecord, openRecords } from './records.ts';
import { answerRequest } from './respond.ts';
import { createUploads, type UploadEvent, type UploadProgress } from './uploads.ts';

export interface GlanceServerOptions {
  /** holds `records/` and `images/`; what lies there from an earlier run is served again */
  dataDir: string;
  /** 0, the default, takes any free one; always on 127.0.0.1 */
  port?: number;
  clock?: LocalClock;
  /** when set, the v2 API wants this X-Auth-Token and answers 401 otherwise */
  token?: string;
  /** others that it takes in its place */
  otherTokens?: readonly string[];
  /** further `Host`s under which it is asked, beside the loopback names with its port */
  hosts?: readonly string[];
  /** image_size_cap; 1 TiB if not given, as in Glance */
  sizeCapBytes?: number;
  /** user_storage_quota; none if not given */
  quotaBytes?: number;
  /** client_socket_timeout; 900 if not given */
  socketTimeoutSeconds?: number;
  /** PEM; then it speaks HTTPS */
  tls?: { key: string; cert: string };
}

export interface GlanceServer {
  /** the endpoint, without `/v2` */
  url: string;
  /** the records of images that are not deleted */
  images(): ImageRecord[];
  /** where an image's data lies on disk */
  dataPath(imageId: string): string;
  faults: Faults;
  uploads(): UploadProgress[];
  /** Tells of uploads as they start, go on and end; gives back what stops it. */
  onUpload(listener: (event: UploadEvent) => void): () => void;
  /** Cuts every connection, waits until cut uploads are undone, and frees the port. */
  close(): Promise<void>;
}

/**
 * An embedded Glance v2 (API 2.15, the answers of Zed's glance-api under eventlet) for one tenant, with a
 * filesystem store.
 * @throws Error with the code EADDRINUSE when the port is busy
 */
export async function startGlance(options: GlanceServerOptions): Promise<GlanceServer> {
  const records = openRecords(options.dataDir);
  const uploads = createUploads();
  const { faults, draw } = createFaults();
  const socketTimeoutSeconds = options.socketTimeoutSeconds ?? 900;
  const clock = options.clock ?? localClock();
  const sizeCapBytes = options.sizeCapBytes ?? 1024 ** 4;
  const service = {
    records,
    uploads,
    clock,
    sizeCapBytes,
    quotaBytes: options.quotaBytes,
    socketTimeoutSeconds,
  };

  const server: Server = options.tls ? createHttps(options.tls) : createHttp();
  // An upload may take hours; a client that stalls is cut off by the upload itself.
  server.requestTimeout = 0;
  server.keepAliveTimeout = socketTimeoutSeconds * 1000;
  const scheme = options.tls ? 'https' : 'http';
  const running = new Set<Promise<void>>();
  let own: ReadonlySet<string> = new Set();
  const respond = answerRequest({
    service,
    draw,
    scheme,
    knows: options.token === undefined ? () => true : takes(options.token, ...(options.otherTokens ?? [])),
    refuses: (method, header) => refusalOf(own, method, header),
  });
  for (const event of ['request', 'checkContinue', 'checkExpectation'] as const) {
    server.on(event, (req, res) => {
      const answering = respond(req, res).finally(() => running.delete(answering));
      running.add(answering);
    });
  }

  const stops = new WeakMap<Socket, () => Stop>();
  server.on(options.tls ? 'secureConnection' : 'connection', (socket: Socket) => {
    stops.set(socket, followFraming(socket));
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const stop = stops.get(socket);
    const early = error.code === 'HPE_INVALID_EOF_STATE';
    if (socket.writable && stop && endBody(socket, early ? stop() : 'garbage')) return;
    if (socket.writable && !early && error.code?.startsWith('HPE_')) {
      socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    } else socket.destroy();
  });

  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  own = ownHosts(port, options.hosts);
  return {
    url: `${scheme}://127.0.0.1:${port}`,
    images: () => records.all(),
    dataPath: records.dataPath,
    faults,
    uploads: uploads.now,
    onUpload: uploads.listen,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await Promise.all([closed, ...running]);
    },
  };
}
