/** An answer's body is kept in pieces of this size, whatever the sender's pieces were. */
const PIECE_BYTES = 65_536;

/**
 * The body of an answer from elsewhere, and no more of it than is wanted. What comes is copied into pieces of one size:
 * a sender that sends single bytes would otherwise cost a hundred times what it sends, an object for each.
 */
export class CappedBody {
  readonly #maxBytes: number;
  readonly #full: Buffer[] = [];
  #last: Buffer = Buffer.alloc(0);
  #used = 0;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @throws AnswerTooLarge */
  take(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#maxBytes) throw new AnswerTooLarge(this.#maxBytes);
    for (let at = 0; at < chunk.length; ) {
      if (this.#used === this.#last.length) this.#more();
      const part = chunk.subarray(at, at + this.#last.length - this.#used);
      this.#last.set(part, this.#used);
      this.#used += part.length;
      at += part.length;
    }
  }

  /** Most answers are short: the first piece is as well, and the next ones grow. */
  #more(): void {
    if (this.#used > 0) this.#full.push(this.#last);
    const next = Math.min(PIECE_BYTES, Math.max(1024, this.#last.length * 4));
    this.#last = Buffer.allocUnsafeSlow(next);
    this.#used = 0;
  }

  /** What has come, in order. */
  get pieces(): readonly Buffer[] {
    return this.#used === 0 ? this.#full : [...this.#full, this.#last.subarray(0, this.#used)];
  }

  get text(): string {
    return Buffer.concat(this.pieces, this.#bytes).toString();
  }
}

/** The answer has more bytes than anything that was asked for. What the request did is not known. */
export class AnswerTooLarge extends Error {
  override readonly name = 'AnswerTooLarge';
  readonly maxBytes: number;

  constructor(maxBytes: number) {
    super(`the answer has more than ${maxBytes} bytes`);
    this.maxBytes = maxBytes;
  }
}
