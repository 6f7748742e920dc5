import { Agent, type Server } from 'node:http';
import { type Duplex, duplexPair } from 'node:stream';

/** Servers that clients in this process reach by a host name, and nobody else by anything. */
const servers = new Map<string, Server>();
let served = 0;

/** The way to those servers. */
class MemoryAgent extends Agent {
  override createConnection({ host }: { host?: string | null }): Duplex {
    const [client, other] = duplexPair();
    const server = servers.get(host ?? '');
    if (!server) throw new Error(`nothing is served at ${host} in this process`);
    server.emit('connection', other);
    // What HTTP's client sets on a socket means nothing here.
    const nothing = () => client;
    return Object.assign(client, { setTimeout: nothing, setNoDelay: nothing, setKeepAlive: nothing });
  }

  /** Clients share it: none ends another's requests, and no connection outlives its request. */
  override destroy(): void {}
}

const httpAgent = new MemoryAgent({ keepAlive: false });

/** The stand-ins want a signature and look at none: to work one out is a twentieth of what the service does here. */
const UNSIGNED = {
  authorization:
    'AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/local/aws4_request, SignedHeaders=host, Signature=none',
  'x-amz-date': '20260101T000000Z',
};

/** What a client of the SDK needs, beside the endpoint, to reach AWS's stand-ins. */
export const LOCAL_AWS = {
  region: 'us-east-1',
  credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
  requestHandler: { httpAgent },
  signer: {
    async sign<Request extends { headers: Record<string, string> }>(request: Request): Promise<Request> {
      Object.assign(request.headers, UNSIGNED);
      return request;
    },
  },
};

/**
 * Serves HTTP in this process's memory: the stand-ins of AWS hold secrets and jobs, and AWS's protocols with them are
 * for the functions here alone. Where nothing listens, there is no caller to be told from another.
 * @returns the URL that {@link LOCAL_AWS} reaches, and what takes it away and cuts its connections
 */
export function serveInProcess(server: Server): { endpoint: string; close(): void } {
  served += 1;
  // In the domain that no resolver knows (RFC 6761), so that a client with another agent reaches nothing.
  const host = `aws-${served}.invalid`;
  const connections = new Set<Duplex>();
  const follow = (connection: Duplex) => {
    connections.add(connection);
    connection.once('close', () => connections.delete(connection));
  };
  server.on('connection', follow);
  servers.set(host, server);
  return {
    endpoint: `http://${host}`,
    close() {
      servers.delete(host);
      for (const connection of connections) connection.destroy();
    },
  };
}
