import type { Clock } from './clock.ts';

/** What `map` makes of each item, in the items' order, at most `limit` of them under way at a time. */
export async function mapBounded<T, R>(
  items: readonly T[],
  limit: number,
  map: (item: T) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  const rest = items.entries();
  const worker = async () => {
    for (const [index, item] of rest) results[index] = await map(item);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return results;
}

/** The items from the first on whose JSON has so many bytes together at most. */
export function fitting<T>(items: readonly T[], mostBytes: number): T[] {
  let bytes = 0;
  const tooMuch = items.findIndex((item) => {
    // And the comma.
    bytes += Buffer.byteLength(JSON.stringify(item)) + 1;
    return bytes > mostBytes;
  });
  return tooMuch === -1 ? [...items] : items.slice(0, tooMuch);
}

/** What `promise` gives, or `otherwise` when it takes longer than `seconds` of real time. */
export async function within<T, U>(seconds: number, promise: Promise<T>, otherwise: U): Promise<T | U> {
  const { promise: late, resolve } = Promise.withResolvers<U>();
  const timer = setTimeout(() => resolve(otherwise), seconds * 1000);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * What `ask` gives, kept for some seconds once it is there. However many ask, one question is under way at a time.
 * @param ask must end; what it fails with is not kept
 */
export function keptFor<T>(seconds: number, clock: Clock, ask: () => Promise<T>): () => Promise<T> {
  let asking: Promise<T> | undefined;
  let kept: { readonly answer: T; readonly at: number } | undefined;
  const answerNow = async () => {
    try {
      const answer = await ask();
      kept = { answer, at: clock.now().getTime() };
      return answer;
    } finally {
      asking = undefined;
    }
  };
  return async () => {
    const age = kept && clock.now().getTime() - kept.at;
    // A clock that was set back does not make an answer new.
    if (kept && age !== undefined && age >= 0 && age < seconds * 1000) return kept.answer;
    asking ??= answerNow();
    return asking;
  };
}
