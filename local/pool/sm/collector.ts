import type { LocalClock } from '../../clock.ts';

/** Work that goes on step by step, by itself or by somebody's hand. */
export interface Collector {
  /** Does the next step, after the one before: what it was, or nothing at the end. */
  step(): Promise<string | undefined>;
  /** Waits, but for somebody who takes it over or ends it. */
  rest(seconds: number): Promise<void>;
  /** Set by whoever takes it over: it goes on only when that one asks for a step. */
  readonly isByHand: boolean;
  takeOver(): void;
  /** Ends it where it is, as a crash of the host would: what it has begun stays half done. */
  kill(): Promise<void>;
}

/** Makes a collector of its steps; `ended` is called when there are no more, or one has failed. */
export function collectorOf(clock: LocalClock, steps: AsyncGenerator<string>, ended: () => void): Collector {
  const awake = new AbortController();
  let last: Promise<unknown> = Promise.resolve();
  const next = async (): Promise<string | undefined> => {
    try {
      const { done, value } = await steps.next();
      if (done !== true) return value;
      ended();
      return undefined;
    } catch (error) {
      ended();
      throw error;
    }
  };
  return {
    step() {
      const turn = last.then(next);
      last = turn.catch(() => undefined);
      return turn;
    },
    rest: (seconds) => clock.sleep(seconds, awake.signal).catch(() => undefined),
    get isByHand() {
      return awake.signal.aborted;
    },
    takeOver: () => awake.abort(),
    async kill() {
      awake.abort();
      await last;
      await steps.return(undefined);
      ended();
    },
  };
}
