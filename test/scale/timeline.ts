import type { Clock } from '../../functions/clock.ts';

type Act = () => undefined | void | Promise<void>;
interface Due {
  readonly at: number;
  readonly order: number;
  readonly act: Act;
}

/**
 * Virtual time: what is due happens in its order, and each goes on until it is over or sleeps. No time passes but in sleep.
 * What fails ends it all.
 */
export class Timeline implements Clock {
  readonly #start = Date.UTC(2026, 4, 5, 1);
  /** A binary heap, the next first. */
  readonly #due: Due[] = [];
  #count = 0;
  #isStopped = false;
  /** Seconds since the beginning. */
  seconds = 0;

  now(): Date {
    return new Date(this.#start + this.seconds * 1000);
  }

  /** Has something happen in so many seconds. */
  in(seconds: number, act: Act): void {
    const due = { at: this.seconds + seconds, order: this.#count++, act };
    let at = this.#due.push(due) - 1;
    for (let up = (at - 1) >> 1; at > 0 && isEarlier(due, this.#due[up]); up = (at - 1) >> 1) {
      this.#due[at] = this.#due[up] as Due;
      this.#due[up] = due;
      at = up;
    }
  }

  /** Lets so many seconds pass. */
  sleep(seconds: number): Promise<void> {
    return new Promise((resolve) => this.in(seconds, resolve));
  }

  /** Nothing further happens. */
  stop(): void {
    this.#due.length = 0;
    this.#isStopped = true;
  }

  /** Goes on until nothing is due any more, or it was stopped. */
  async run(): Promise<void> {
    const failures: unknown[] = [];
    for (let due = this.#next(); due && !this.#isStopped; due = this.#next()) {
      this.seconds = due.at;
      due.act()?.catch((error: unknown) => failures.push(error));
      // Until all that goes on without time has come to its end.
      await new Promise(setImmediate);
      if (failures.length > 0) throw failures[0];
    }
  }

  #next(): Due | undefined {
    const [first] = this.#due;
    const last = this.#due.pop();
    if (last === undefined || first === last) return first;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      const right = this.#due[down + 1];
      if (right && isEarlier(right, this.#due[down])) down++;
      const smaller = this.#due[down];
      if (!smaller || !isEarlier(smaller, last)) break;
      this.#due[at] = smaller;
      at = down;
    }
    this.#due[at] = last;
    return first;
  }
}

function isEarlier(a: Due, b: Due | undefined): boolean {
  return b === undefined || a.at < b.at || (a.at === b.at && a.order < b.order);
}
