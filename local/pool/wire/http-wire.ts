import type { Socket } from 'node:net';

/** One request as xapi reads it (http_svr.ml). */
export interface HttpRequest {
  readonly method: string;
  /** The path, with its query. */
  readonly url: string;
  readonly path: string;
  /** Echoed in the answer: everything but 1.0 counts as 1.1. */
  readonly version: '1.0' | '1.1';
  /** Headers by name in lower case; if a name comes twice, the last one counts. */
  readonly headers: ReadonlyMap<string, string>;
  /** Whether the connection ends with the answer. */
  readonly close: boolean;
  readonly socket: Socket;
}

/** The request cannot be read: its reason, by the answer that it gets. */
export class BadRequest extends Error {
  override readonly name = 'BadRequest';
  readonly status: 431 | 500;

  constructor(status: 431 | 500, message: string) {
    super(message);
    this.status = status;
  }
}

const END_OF_HEADERS = '\r\n\r\n';

/** Reads requests from one connection, and no byte further than it is asked to. */
export class HttpReader {
  readonly #socket: Socket;
  readonly #chunks: AsyncIterator<Buffer>;
  #buffer: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#chunks = socket.iterator({ destroyOnReturn: false });
  }

  /**
   * The next request without its body; undefined when the connection ends first. It waits for an empty line that ends
   * in CR LF, whatever the lines before it end in. There is no `100 Continue`.
   * @param maxBytes of the request line and all headers
   * @throws BadRequest
   */
  async next(maxBytes = Number.POSITIVE_INFINITY): Promise<HttpRequest | undefined> {
    let end = this.#buffer.indexOf(END_OF_HEADERS);
    while (end < 0) {
      if (this.#buffer.length > maxBytes) throw tooLarge();
      if (!(await this.#more())) return undefined;
      end = this.#buffer.indexOf(END_OF_HEADERS);
    }
    if (end + END_OF_HEADERS.length > maxBytes) throw tooLarge();
    return this.#parse(this.#take(end + END_OF_HEADERS.length).toString('latin1'));
  }

  /** Reads so many bytes of a body; undefined when the connection ends first. */
  async body(length: number): Promise<Buffer | undefined> {
    while (this.#buffer.length < length) if (!(await this.#more())) return undefined;
    return this.#take(length);
  }

  async #more(): Promise<boolean> {
    const { value, done } = await this.#chunks.next();
    if (done) return false;
    this.#buffer = Buffer.concat([this.#buffer, value]);
    return true;
  }

  #take(length: number): Buffer {
    const taken = this.#buffer.subarray(0, length);
    this.#buffer = this.#buffer.subarray(length);
    return taken;
  }

  #parse(text: string): HttpRequest {
    const [line = '', ...rest] = text.split('\n');
    const [method, url, protocol, ...more] = line.trim().split(/\s+/);
    if (!method || !url || !protocol || more.length > 0)
      throw new BadRequest(500, 'The HTTP headers could not be parsed.');
    const headers = new Map(
      rest.flatMap((each) => {
        const colon = each.indexOf(':');
        return colon < 0 ? [] : [[each.slice(0, colon).toLowerCase(), each.slice(colon + 1).trim()] as const];
      }),
    );
    const version = protocol === 'HTTP/1.0' ? '1.0' : '1.1';
    const connection = headers.get('connection')?.toLowerCase();
    const close = connection === 'close' || (version === '1.0' && connection !== 'keep-alive');
    const [path = ''] = url.split('?');
    return { method, url, path, version, headers, close, socket: this.#socket };
  }
}

function tooLarge(): BadRequest {
  return new BadRequest(431, 'Exceeded the maximum header size.');
}
