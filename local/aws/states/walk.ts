/** A document, or a part of one, in the Amazon States Language. */
export type Asl = Record<string, unknown>;

/** A JSON object, as opposed to an array or a plain value. */
export function isObject(value: unknown): value is Asl {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** The machines that a state holds: a Parallel's branches, a Map's processor. */
export function machinesIn(state: Asl): Asl[] {
  const branches = Array.isArray(state.Branches) ? state.Branches : [];
  return [...branches, state.ItemProcessor, state.Iterator].filter(isObject);
}

/** Every state of a machine, those of branches and item processors included. */
export function* statesOf(machine: Asl): Generator<[name: string, state: Asl]> {
  if (!isObject(machine.States)) return;
  for (const [name, state] of Object.entries(machine.States)) {
    if (!isObject(state)) continue;
    yield [name, state];
    for (const inner of machinesIn(state)) yield* statesOf(inner);
  }
}

/** Every string below a value. */
export function* stringsIn(value: unknown): Generator<string> {
  if (typeof value === 'string') yield value;
  else if (value !== null && typeof value === 'object')
    for (const inner of Object.values(value)) yield* stringsIn(inner);
}

/** A copy in which each string is what `replace` makes of it. */
export function mapStrings(value: unknown, replace: (text: string) => string): unknown {
  if (typeof value === 'string') return replace(value);
  if (Array.isArray(value)) return value.map((inner) => mapStrings(inner, replace));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, mapStrings(inner, replace)]));
}

/** A task that hands its token to a queue and waits until somebody returns it. */
export function isQueueCallback(state: Asl): boolean {
  return (
    state.Type === 'Task' && /:states:::sqs:sendMessage\.waitForTaskToken$/.test(String(state.Resource ?? ''))
  );
}
