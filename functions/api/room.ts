/**
 * Bytes that the lists of an answer may have together. Lambda lets 6 MB through, and takes the answer as a text inside a
 * document of its own, in which each quotation mark has two bytes: what lists have is counted as it is there.
 */
export const MOST_ANSWER_BYTES = 5_000_000;

/** What an item of a list takes of an answer, with the comma after it. */
export function bytesInAnswer(item: unknown): number {
  return Buffer.byteLength(JSON.stringify(JSON.stringify(item))) - 1;
}

/**
 * The items from the first on that have room in so many bytes; one at least, so that a list comes to its end.
 * @param told what of an item is in the answer
 */
export function withRoom<T>(
  items: readonly T[],
  mostBytes: number,
  told: (item: T) => unknown = (item) => item,
): T[] {
  let bytes = 0;
  const tooMuch = items.findIndex((item, index) => {
    bytes += bytesInAnswer(told(item));
    return bytes > mostBytes && index > 0;
  });
  return items.slice(0, tooMuch === -1 ? items.length : tooMuch);
}
