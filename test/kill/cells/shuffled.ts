import { createHash } from 'node:crypto';

/** The items in an order of chance, which is the same for the same seed. */
export function shuffled<T extends { readonly id: string }>(items: readonly T[], seed: string): T[] {
  const place = (id: string) => createHash('sha256').update(`${seed} ${id}`).digest('hex');
  const placed = items.map((item) => [place(item.id), item] as const);
  return placed.toSorted(([one], [other]) => (one < other ? -1 : 1)).map(([, item]) => item);
}
