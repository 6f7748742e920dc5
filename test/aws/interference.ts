import type { Around } from '../cdk/invoked.ts';

/** What is done to steps in the middle of a scenario. */
export interface Interference {
  readonly around: Around;
  /** The next call of a step ends with an error of this name, as Lambda reports it, in place of its work. */
  fail(step: string, name: string): void;
  /** Has the next call of a step begin only once it is let go; `reached` resolves when it was made. */
  hold(step: string): { readonly reached: Promise<void>; letGo(): void };
}

export function interference(): Interference {
  const failures = new Map<string, string[]>();
  const holds = new Map<string, { reached(): void; readonly over: Promise<void> }>();
  return {
    async around(step, _event, run) {
      const name = failures.get(step)?.shift();
      if (name !== undefined) throw Object.assign(new Error('as Lambda reports it'), { name });
      const held = holds.get(step);
      holds.delete(step);
      held?.reached();
      await held?.over;
      return run();
    },
    fail(step, name) {
      failures.set(step, [...(failures.get(step) ?? []), name]);
    },
    hold(step) {
      const [reached, over] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      holds.set(step, { reached: reached.resolve, over: over.promise });
      return { reached: reached.promise, letGo: over.resolve };
    },
  };
}
