import type { Socket } from 'node:net';
import { ConnectionCut, XapiFailure } from '../failure.ts';
import type { Fault } from '../faults.ts';

/** An answer that is written to its connection as it comes, no faster than it is read, and ends with the connection. */
export class SocketBody {
  readonly #socket: Socket;
  readonly #fault: Fault | undefined;
  #sent = 0;
  #isEndedEarly = false;

  constructor(socket: Socket, fault: Fault | undefined) {
    this.#socket = socket;
    this.#fault = fault;
  }

  /** Whether the fault wants no more of the body, and no error either. */
  get isEndedEarly(): boolean {
    return this.#isEndedEarly;
  }

  /**
   * Writes a part of the body, or the head, which does not count.
   * @throws XapiFailure VDI_IO_ERROR when the reader has left
   */
  async write(data: Buffer, part: 'head' | 'body' = 'body'): Promise<void> {
    const strikesAt = this.#fault?.afterBytes;
    const before = strikesAt === undefined ? data.length : strikesAt - this.#sent;
    if (part === 'head' || before >= data.length || before < 0) return this.#put(data, part);
    await this.#put(data.subarray(0, before), part);
    await this.#strike();
    await this.#put(data.subarray(before), part);
  }

  end(text = ''): void {
    this.#socket.end(text);
  }

  cut(): void {
    this.#socket.destroy();
  }

  async #put(data: Buffer, part: 'head' | 'body'): Promise<void> {
    const socket = this.#socket;
    if (part === 'body') this.#sent += data.length;
    if (!socket.destroyed && !socket.write(data))
      await new Promise<void>((resolve) => {
        const done = (): void => {
          socket.off('drain', done);
          socket.off('close', done);
          resolve();
        };
        socket.on('drain', done);
        socket.on('close', done);
      });
    if (socket.destroyed) throw new XapiFailure('VDI_IO_ERROR', 'Device I/O errors');
  }

  async #strike(): Promise<void> {
    const { hold, drop, code, params = [] } = this.#fault ?? {};
    await hold;
    if (drop) throw new ConnectionCut();
    if (code) throw new XapiFailure(code, ...params);
    if (hold) return;
    this.#isEndedEarly = true;
    this.end();
    throw new Error('an injected end of the body');
  }
}
