import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';

/** One HTTP request as it came over the socket. */
export interface RawRequest {
  /** Request line and headers, with the empty line that ends them. */
  readonly head: string;
  readonly body: string;
  /** What `<methodName>` holds. */
  readonly method: string;
  readonly socket: Socket;
}

/** What to do with a request: answer with this XML; or with these bytes; or whatever it does itself to the socket. */
export type RawAnswer = string | { readonly bytes: string } | 'drop' | undefined;

export interface RawServer {
  readonly url: string;
  readonly port: number;
  readonly requests: RawRequest[];
  /** Connections accepted; over TLS, those that ended the handshake. */
  connections: number;
  /** Bytes that came after the handshake, whether or not they made a request. */
  bytesReceived: number;
  readonly methods: string[];
  close(): Promise<void>;
}

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

type Answerer = (request: RawRequest, index: number) => RawAnswer | Promise<RawAnswer>;

/** An HTTP server on a bare socket, so that a test sees and says every byte. */
export async function startRawServer(
  answer: Answerer,
  tls?: Certificate,
  host = '127.0.0.1',
): Promise<RawServer> {
  const sockets = new Set<Socket>();
  const serve = (socket: Socket) => {
    state.connections += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
    let received: Buffer = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      state.bytesReceived += chunk.length;
      received = Buffer.concat([received, chunk]);
      for (let request = cut(received); request !== undefined; request = cut(received)) {
        received = request.rest;
        const raw = { ...request.raw, socket };
        state.requests.push(raw);
        state.methods.push(raw.method);
        void Promise.resolve(answer(raw, state.requests.length - 1)).then((given) => reply(socket, given));
      }
    });
  };
  const server: Server = tls ? createTlsServer(tls, serve) : createTcpServer(serve);
  server.on('tlsClientError', () => {});
  server.listen(0, host);
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const state: RawServer = {
    port,
    url: `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`,
    requests: [],
    connections: 0,
    bytesReceived: 0,
    methods: [],
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return state;
}

function cut(received: Buffer): { raw: Omit<RawRequest, 'socket'>; rest: Buffer } | undefined {
  const headBytes = received.indexOf('\r\n\r\n') + 4;
  if (headBytes < 4) return undefined;
  const head = received.subarray(0, headBytes).toString('latin1');
  const bodyBytes = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
  if (received.length < headBytes + bodyBytes) return undefined;
  const body = received.subarray(headBytes, headBytes + bodyBytes).toString();
  const method = /<methodName>([^<]+)</.exec(body)?.[1] ?? '';
  return { raw: { head, body, method }, rest: received.subarray(headBytes + bodyBytes) };
}

function reply(socket: Socket, answer: RawAnswer): void {
  if (answer === undefined) return;
  if (answer === 'drop') socket.destroy();
  else socket.write(typeof answer === 'string' ? http(answer) : answer.bytes);
}

/** An answer as xapi sends it. */
export function http(xml: string, statusLine = 'HTTP/1.1 200 OK'): string {
  const bytes = Buffer.byteLength(xml);
  return `${statusLine}\r\ncontent-length:${bytes}\r\ncontent-type:text/xml\r\nconnection:keep-alive\r\n\r\n${xml}`;
}

const response = (members: string) =>
  `<?xml version="1.0"?><methodResponse><params><param><value><struct>${members}</struct></value></param></params></methodResponse>`;
const member = (name: string, value: string) =>
  `<member><name>${name}</name><value>${value}</value></member>`;

/** xapi's answer with this XML inside its `<value>`. */
export const success = (inner: string): string =>
  response(member('Status', 'Success') + member('Value', inner));

/** xapi's refusal. */
export const failure = (...description: readonly string[]): string =>
  response(
    member('Status', 'Failure') +
      member(
        'ErrorDescription',
        `<array><data>${description.map((text) => `<value>${text}</value>`).join('')}</data></array>`,
      ),
  );

/** A certificate that a host signed for itself, made by the `openssl` command as xapi's gencert would. */
export function selfSigned(commonName: string): Certificate & { readonly fingerprint: string } {
  return certified((keyFile, certFile) => {
    const san = `subjectAltName=DNS:${commonName},IP:127.0.0.1`;
    const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-addext', san];
    const files = ['-subj', `/CN=${commonName}`, '-keyout', keyFile, '-out', certFile];
    execFileSync('openssl', [...request, ...files], { stdio: 'ignore' });
  });
}

/** The same, of a year that is over. OpenSSL 3.0 makes one only as a whole authority. */
export function expired(commonName: string): ReturnType<typeof selfSigned> {
  return certified((keyFile, certFile, folder) => {
    const run = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
    writeFileSync(join(folder, 'index'), '');
    writeFileSync(
      join(folder, 'ca.cnf'),
      '[ca]\ndefault_ca=own\n[own]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\n' +
        `policy=any\nx509_extensions=names\n[any]\ncommonName=supplied\n[names]\nsubjectAltName=DNS:${commonName},IP:127.0.0.1\n`,
    );
    run(
      'req',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-subj',
      `/CN=${commonName}`,
      '-keyout',
      keyFile,
      '-out',
      'csr',
    );
    const year = ['-startdate', '20200101000000Z', '-enddate', '20210101000000Z'];
    const signing = ['-selfsign', '-keyfile', keyFile, '-in', 'csr', '-out', certFile];
    run('ca', '-config', 'ca.cnf', '-batch', '-notext', ...year, ...signing);
  });
}

function certified(make: (keyFile: string, certFile: string, folder: string) => void) {
  const folder = mkdtempSync(join(tmpdir(), 'xensnap-cert-'));
  try {
    const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    make(keyFile, certFile, folder);
    const cert = readFileSync(certFile, 'utf8');
    return {
      cert,
      key: readFileSync(keyFile, 'utf8'),
      fingerprint: new X509Certificate(cert).fingerprint256,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
