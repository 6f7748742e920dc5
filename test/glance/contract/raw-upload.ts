import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A whole answer as it came over the socket. */
export interface RawAnswer {
  status: number;
  headers: Map<string, string>;
  text: string;
}

/** An upload written byte by byte, so that a test can end it at any place. */
export interface RawUpload {
  /** writes one chunk with its frame */
  chunk(data: Buffer | string): Promise<void>;
  /** writes just these bytes */
  raw(data: Buffer | string): Promise<void>;
  /** ends our half of the connection (FIN) and goes on listening */
  fin(): void;
  /** resets the connection (RST) */
  reset(): void;
  /** resolves once `100 Continue` has come, rejects when another answer comes first */
  continued(): Promise<void>;
  /** the final answer */
  answer(): Promise<RawAnswer>;
  close(): void;
}

/**
 * Connects and sends the headers of a PUT of an image's data: chunked, or with a Content-Length of so many bytes,
 * or, with null, without either.
 */
export async function openUpload(
  url: string,
  imageId: string,
  lengthBytes?: number | null,
  headers: Record<string, string> = {},
): Promise<RawUpload> {
  const { hostname, port, host: Host } = new URL(url);
  const socket = connect(Number(port), hostname);
  const received = collect(socket);
  await once(socket, 'connect');
  const framing: Record<string, string> =
    lengthBytes === undefined
      ? { 'Transfer-Encoding': 'chunked' }
      : lengthBytes === null
        ? {}
        : { 'Content-Length': String(lengthBytes) };
  const all = { Host, 'Content-Type': 'application/octet-stream', ...framing, ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  const write = (data: Buffer | string) => new Promise<void>((done) => socket.write(data, () => done()));
  await write(`PUT /v2/images/${imageId}/file HTTP/1.1\r\n${lines.join('')}\r\n`);
  return {
    chunk: (data) =>
      write(
        Buffer.concat([
          Buffer.from(`${data.length.toString(16)}\r\n`),
          Buffer.from(data),
          Buffer.from('\r\n'),
        ]),
      ),
    raw: write,
    fin: () => void socket.end(),
    reset: () => void socket.resetAndDestroy(),
    continued: () =>
      received((text) => {
        if (text.startsWith('HTTP/1.1 100 Continue\r\n\r\n')) return true;
        if (/^HTTP\/1\.1 [2-5]/.test(text))
          throw new Error(`An answer came in place of 100 Continue: ${text}`);
        return undefined;
      }).then(() => undefined),
    answer: () => received(parseAnswer),
    close: () => void socket.destroy(),
  };
}

type Received = <T>(read: (text: string) => T | undefined) => Promise<T>;

/** Gathers what comes and gives it to a reader until the reader has what it wants. */
function collect(socket: Socket): Received {
  let text = '';
  let over = false;
  let wake = () => {};
  socket.on('data', (data) => {
    text += data.toString('latin1');
    wake();
  });
  for (const event of ['end', 'close', 'error'] as const) {
    socket.on(event, () => {
      over = true;
      wake();
    });
  }
  return async (read) => {
    for (;;) {
      const found = read(text);
      if (found !== undefined) return found;
      if (over) throw new Error(`The connection ended without an answer: ${text}`);
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
}

function parseAnswer(received: string): RawAnswer | undefined {
  const text = received.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '');
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [statusLine = '', ...lines] = text.slice(0, end).split('\r\n');
  const headers = new Map(
    lines.map((line) => [
      line.slice(0, line.indexOf(':')).toLowerCase(),
      line.slice(line.indexOf(':') + 1).trim(),
    ]),
  );
  const body = text.slice(end + 4);
  const length = Number(headers.get('content-length') ?? 0);
  if (body.length < length) return undefined;
  return { status: Number(statusLine.split(' ')[1]), headers, text: body.slice(0, length) };
}
