/** Items one from each group in turn, so that a group with very many does not keep the others waiting; within a group in their order. */
export function inTurns<T>(items: readonly T[], groupOf: (item: T) => string | undefined): T[] {
  const groups = [...Map.groupBy(items, groupOf).values()];
  const longest = groups.reduce((most, { length }) => Math.max(most, length), 0);
  return Array.from({ length: longest }, (_, round) =>
    groups.flatMap((group) => group.slice(round, round + 1)),
  ).flat();
}
