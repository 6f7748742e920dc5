import { MACHINES, type StepName } from '../../../statemachine/contract.ts';
import { CATALOGUE } from './catalogue.ts';
import { type CallCell, type Cell, EVENTS, type EventCell } from './cell.ts';
import type { Recorded } from './record.ts';

/** How many of a table's writes in one state are struck each by itself. */
const MOST_WRITES = 6;

/** Every state × every call in it × the troubles that it can meet, and what else may happen at a state. */
export function enumerate(recorded: readonly Recorded[]): Cell[] {
  return [...recorded.filter((call) => isStruck(call, recorded)).flatMap(cellsOf), ...eventCells()];
}

/** Of a call that is made again and again, the first and the last; of the table's writes, each. */
function isStruck(call: Recorded, all: readonly Recorded[]): boolean {
  const { run, state, to, name, nth } = call;
  // What the service asks in between, for itself, comes when it comes.
  if (state === 'admission' && (nth > 1 || name === 'Query')) return false;
  if (to === 'dynamodb' && name === 'UpdateItem') return nth <= MOST_WRITES;
  const last = all.filter(
    (other) => other.run === run && other.state === state && other.to === to && other.name === name,
  ).length;
  // How often it is looked at depends on how fast this machine is.
  return nth === 1 || (nth === last && !/^Poll|^AwaitCoalesce/.test(state));
}

function cellsOf(call: Recorded): CallCell[] {
  const { run, state, to, name, nth } = call;
  return Object.entries(CATALOGUE[to])
    .filter(([, { of }]) => of?.(call) ?? true)
    .map(([fault]) => ({
      id: `${run === 'plain' ? '' : `${run}:`}${state}/${to}/${name.replaceAll(' ', '_')}#${nth}/${fault}`,
      ...{ run, state, to, name, nth, fault },
    }));
}

function eventCells(): EventCell[] {
  const states = [...MACHINES.snapshot.forward, ...MACHINES.snapshot.cleanup, 'QueueForHost'].filter(
    (state) => !/^(CancelUpload|DiscardImage|RotateBackups)$/.test(state),
  ) as StepName[];
  return states.flatMap((state) =>
    EVENTS.filter((event) => !event.startsWith('called twice') || (state as string) !== 'QueueForHost').map(
      (event) =>
        ({
          id: `${state}/${event.replaceAll(' ', '-').replace(',', '')}`,
          run: 'plain',
          state,
          event,
        }) as const,
    ),
  );
}
