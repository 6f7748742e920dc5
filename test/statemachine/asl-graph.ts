import { type Asl, isObject } from '../../local/aws/states/walk.ts';

/** One way out of a state; `writes` is the ResultPath that is certain to be set on it. */
export interface Edge {
  readonly from: string;
  readonly to: string;
  readonly kind: 'next' | 'catch';
  readonly writes: unknown;
}

export function objectsIn(value: unknown): Asl[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/** The states of the document, in the order in which they stand there. The machine is flat: no Map, no Parallel. */
export function statesIn(document: Asl): [name: string, state: Asl][] {
  return isObject(document.States)
    ? Object.entries(document.States).map(([name, state]) => [name, isObject(state) ? state : {}])
    : [];
}

/** Every way from one state to another. */
export function edgesOf(document: Asl): Edge[] {
  return statesIn(document).flatMap(([from, state]) => [
    ...[state.Next, state.Default, ...objectsIn(state.Choices).map(({ Next }) => Next)]
      .filter((to) => typeof to === 'string')
      .map((to): Edge => ({ from, to, kind: 'next', writes: state.ResultPath })),
    ...objectsIn(state.Catch).map(
      ({ Next, ResultPath }): Edge => ({ from, to: String(Next), kind: 'catch', writes: ResultPath }),
    ),
  ]);
}

/** The states that can be reached from one, itself included, by ways that do not enter `without`. */
export function reachable(document: Asl, start: string, without?: string): Set<string> {
  const edges = edgesOf(document);
  const found = new Set<string>();
  const open = [start];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (found.has(name) || name === without) continue;
    found.add(name);
    open.push(...edges.filter(({ from }) => from === name).map(({ to }) => to));
  }
  return found;
}

/** The ways by which the state is entered from the nearest Task, Choices and Waits between them left out. */
export function entriesFromTasks(document: Asl, name: string, seen: readonly string[] = []): Edge[] {
  const types = new Map(statesIn(document).map(([state, { Type }]) => [state, Type]));
  return edgesOf(document)
    .filter(({ to, from }) => to === name && !seen.includes(from))
    .flatMap((edge) =>
      types.get(edge.from) === 'Task' || edge.kind === 'catch'
        ? [edge]
        : entriesFromTasks(document, edge.from, [...seen, name]),
    );
}
