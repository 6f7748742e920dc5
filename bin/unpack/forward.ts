/** Bytes that come one after the other and are read once, such as a download. */
export class ForwardReader {
  /** How many have been read or skipped. */
  position = 0;
  readonly #source: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Exactly so many bytes. @throws EndsEarly when there are fewer */
  async read(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for await (const part of this.#pieces(length)) parts.push(part);
    return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts, length);
  }

  /** Passes over so many bytes. @throws EndsEarly when there are fewer */
  async skip(length: number): Promise<void> {
    for await (const _ of this.#pieces(length));
  }

  /** What is left, in pieces. */
  async *remaining(): AsyncGenerator<Buffer> {
    while (this.#rest.length > 0 || (await this.#more())) {
      const piece = this.#rest;
      this.#rest = Buffer.alloc(0);
      this.position += piece.length;
      yield piece;
    }
  }

  async *#pieces(length: number): AsyncGenerator<Buffer> {
    for (let wanted = length; wanted > 0; ) {
      if (this.#rest.length === 0 && !(await this.#more())) throw new EndsEarly(this.position);
      const piece = this.#rest.subarray(0, wanted);
      this.#rest = this.#rest.subarray(piece.length);
      this.position += piece.length;
      wanted -= piece.length;
      yield piece;
    }
  }

  async #more(): Promise<boolean> {
    const { value, done } = await this.#source.next();
    if (done) return false;
    this.#rest = value;
    return true;
  }
}

/** The bytes ended where more were due. */
export class EndsEarly extends Error {
  override readonly name = 'EndsEarly';

  constructor(position: number) {
    super(`it ends after ${position} bytes, where more were due`);
  }
}
