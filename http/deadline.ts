/** What ends a call: its caller, or its time, which runs from before it is sent until its answer is parsed. */
export class Deadline {
  readonly seconds: number;
  readonly signal: AbortSignal | undefined;
  readonly #until: number;

  /** @param seconds from now on */
  constructor(seconds: number, signal?: AbortSignal) {
    this.seconds = seconds;
    this.signal = signal;
    this.#until = performance.now() + seconds * 1000;
  }

  get leftMs(): number {
    return Math.max(0, this.#until - performance.now());
  }

  /**
   * To be called between two slices of work that takes long.
   * @throws TimeUp; the signal's reason when it is aborted
   */
  check(): void {
    this.signal?.throwIfAborted();
    if (this.leftMs === 0) throw new TimeUp(`not all of the answer read within ${shown(this.seconds)} s`);
  }

  /** The failure when nothing, or not everything, has come. */
  silence(): TimeUp {
    return new TimeUp(`nothing heard within ${shown(this.seconds)} s`);
  }
}

/** The time of a call is over. */
export class TimeUp extends Error {
  override readonly name = 'TimeUp';
}

function shown(seconds: number): number {
  return Number(seconds.toFixed(1));
}
