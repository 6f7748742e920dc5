import { CATALOGUE } from '../cells/catalogue.ts';
import type { CallCell } from '../cells/cell.ts';
import type { Call } from '../wire/call.ts';
import type { Fault } from '../wire/faults.ts';
import type { World } from '../world.ts';

/** Decides on each call; the first one that has something to say is heard. */
export type Decide = (call: Call) => Fault | undefined;

export interface Strike {
  readonly decide: Decide;
  /** Whether it has struck. */
  readonly fired: () => boolean;
  /** Lets go what is held. */
  release(): void;
}

/** Has a cell's call meet its trouble, once; of the tries of AWS's SDK, the first or all of them. */
export function strikeOf(cell: CallCell, world: World): Strike {
  const { state, to, name, nth } = cell;
  const trouble = CATALOGUE[to][cell.fault];
  if (!trouble) throw new Error(`There is no trouble "${cell.fault}" of ${to}.`);
  const held = Promise.withResolvers<void>();
  let struck: Call | undefined;
  const decide: Decide = (call) => {
    if (call.state !== state || call.to !== to || call.name !== name || call.nth !== nth) return undefined;
    if (struck && !(trouble.pastSdk && call.attempt > 1 && call.job === struck.job)) return undefined;
    struck ??= call;
    if (cell.fault === 'killed') queueMicrotask(() => void world.kill());
    if (cell.fault === 'zombie') return { kind: 'hold', until: held.promise };
    return trouble.fault(call, world.limitSpeed);
  };
  return { decide, fired: () => struck !== undefined, release: held.resolve };
}

/** What another call meets in a run that is to go wrong anyway. */
export function always(fits: Partial<Call>, fault: Fault, times = Number.POSITIVE_INFINITY): Decide {
  let struck = 0;
  return (call) => {
    for (const [key, value] of Object.entries(fits)) if (call[key as keyof Call] !== value) return undefined;
    struck += 1;
    return struck <= times ? fault : undefined;
  };
}
