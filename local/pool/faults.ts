import { type EventEmitter, once } from 'node:events';
import type { LocalClock } from '../clock.ts';
import { ConnectionCut, XapiFailure } from './failure.ts';

/** Something that goes wrong on purpose. */
export interface Fault {
  /**
   * `VM.snapshot` strikes the operation, also when it runs as a task or inside another call (a disk's `VDI.snapshot`);
   * `Async.VM.snapshot` strikes the call that starts the task. A regular expression is matched with the name on the
   * wire. A fault with `drop` always strikes the call.
   */
  readonly method: string | RegExp;
  /** How many matching calls pass first. */
  readonly skip?: number;
  /** How many are struck; all if left out. */
  readonly times?: number;
  /** The failure to answer, without any effect. */
  readonly code?: string;
  readonly params?: readonly string[];
  /** Cuts the connection before or after the effect. */
  readonly drop?: 'before' | 'after';
  /** Seconds of the pool's clock to wait before the effect. */
  readonly delaySeconds?: number;
  /** Looks at the arguments as the call log has them. */
  readonly when?: (args: readonly unknown[]) => boolean;
  /**
   * Of an export: it strikes once so many bytes of the body are out. With neither `code`, `drop` nor `hold` the body ends
   * there, as if it were whole.
   */
  readonly afterBytes?: number;
  /** For an export: so many bytes follow the body's end. */
  readonly extraBytes?: number;
  /** The effect waits for this. */
  readonly hold?: Promise<void>;
}

export class Faults {
  readonly #faults = new Set<{ fault: Fault; seen: number; struck: number }>();

  /** Returns what takes the fault back. */
  add(fault: Fault): () => void {
    const entry = { fault, seen: 0, struck: 0 };
    this.#faults.add(entry);
    return () => this.#faults.delete(entry);
  }

  /** The fault for a call as it is named on the wire. */
  forCall(method: string, args: readonly unknown[]): Fault | undefined {
    const operation = method.replace(/^Async\./, '');
    return this.#take(args, ({ method: wanted, drop }) =>
      typeof wanted === 'string'
        ? wanted === method || (drop !== undefined && wanted === operation)
        : wanted.test(method),
    );
  }

  /** The fault for an operation that a task or another call carries out. */
  forOperation(method: string, args: readonly unknown[]): Fault | undefined {
    return this.#take(args, (fault) => fault.method === method && fault.drop === undefined);
  }

  #take(args: readonly unknown[], matches: (fault: Fault) => boolean): Fault | undefined {
    for (const entry of this.#faults) {
      const { fault } = entry;
      if (!matches(fault) || (fault.when && !fault.when(args))) continue;
      if (entry.struck >= (fault.times ?? Number.POSITIVE_INFINITY)) continue;
      entry.seen += 1;
      if (entry.seen <= (fault.skip ?? 0)) continue;
      entry.struck += 1;
      return fault;
    }
    return undefined;
  }
}

/** Runs `effect` as the fault wants it. */
export async function withFault<T>(
  fault: Fault | undefined,
  clock: LocalClock,
  effect: () => Promise<T>,
): Promise<T> {
  if (!fault) return effect();
  await fault.hold;
  if (fault.delaySeconds) await clock.sleep(fault.delaySeconds);
  if (fault.drop === 'before') throw new ConnectionCut();
  if (fault.code) throw new XapiFailure(fault.code, ...(fault.params ?? []));
  const result = await effect();
  if (fault.drop === 'after') throw new ConnectionCut();
  return result;
}

/** Emitted when the master's xapi has forgotten all that was under way. */
export const RESTARTED = 'xapi restarted';

/**
 * Waits as the fault wants it.
 * @throws ConnectionCut where the master's xapi was restarted meanwhile: nothing comes of what it was asked
 */
export async function waitUnlessRestarted(
  { hold, delaySeconds = 0 }: Fault,
  { clock, released }: { readonly clock: LocalClock; readonly released: EventEmitter },
): Promise<void> {
  const over = new AbortController();
  const restarted = once(released, RESTARTED, { signal: over.signal }).then(
    () => true,
    () => false,
  );
  const waited = async (): Promise<false> => {
    await hold;
    if (delaySeconds > 0) await clock.sleep(delaySeconds);
    return false;
  };
  try {
    if (await Promise.race([waited(), restarted])) throw new ConnectionCut();
  } finally {
    over.abort();
  }
}
