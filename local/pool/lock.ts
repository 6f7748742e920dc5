/** Lets one at a time in, in the order they came. */
export class Lock {
  #last: Promise<void> = Promise.resolve();
  #inLine = 0;

  /** Whether somebody has it or waits for it. */
  get isTaken(): boolean {
    return this.#inLine > 0;
  }

  /** Waits for its turn; the lock is held until what it answers is disposed of. */
  async acquire(): Promise<Disposable> {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    this.#inLine += 1;
    await before;
    let isHeld = true;
    return {
      [Symbol.dispose]: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#inLine -= 1;
        resolve();
      },
    };
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    using _held = await this.acquire();
    return await work();
  }
}
