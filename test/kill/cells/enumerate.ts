import { acts, CATALOGUE, isSetter, type Struck } from './catalogue.ts';
import {
  type CallCell,
  type Cell,
  EVENTS,
  type EventCell,
  type EventName,
  RUNS,
  type RunName,
} from './cell.ts';
import type { Recorded } from './record.ts';

/** How many of a table's writes in one state are struck each by itself. */
const MOST_WRITES = 6;

/** The state of each machine, and of each line, in which what every step does alike is struck for all of them. */
const FOR_ALL: Readonly<Partial<Record<RunName, string>>> = {
  plain: 'StartUpload',
  undone: 'DestroySnapshot',
  restore: 'StartDownload',
  'restore-undone': 'DestroyDisks',
};

/** Every state × every call in it × the troubles that it can meet, and what else may happen at a state. */
export function enumerate(recorded: readonly Recorded[]): Cell[] {
  const chosen = recorded.filter((call) => isChosen(call, recorded));
  const struck = chosen.map((call) => {
    const isFirstRead = call === chosen.find((other) => isBeside(other, call) && !acts(other));
    return { ...call, isFirstRead, isShared: isOfEveryStep(call, recorded) };
  });
  return [...struck.flatMap(cellsOf), ...eventCells(recorded)];
}

function isChosen(call: Recorded, all: readonly Recorded[]): boolean {
  const { run, state, to, name, nth } = call;
  // What the service asks in between, for itself, comes when it comes.
  if (state === 'admission' && (nth > 1 || name === 'Query')) return false;
  // Whether a token is still there to be destroyed depends on whether the plugin was quicker.
  if (name === 'secret.destroy' && state !== 'janitor') return false;
  if (isOfEveryStep(call, all)) {
    if (to !== 'dynamodb' && nth > 1) return false;
    return isStep(state) ? state === FOR_ALL[run] : RUNS[run] === 'snapshot';
  }
  if (!acts(call)) return nth === 1 && call === ofItsClass(call, all);
  if (to === 'dynamodb' && name === 'UpdateItem') return nth <= MOST_WRITES;
  // Of a call that is made again and again, the first and the last; how often something is looked at depends on how fast
  // this machine is.
  return nth === 1 || (nth === lastOf(call, all) && !isSetter(call) && !/^Poll|^AwaitCoalesce/.test(state));
}

/** Of the reads of one class in one state, the one that is struck: one by a handle, if there is one, which may be invalid. */
function ofItsClass(call: Recorded, all: readonly Recorded[]): Recorded | undefined {
  // What is undone by a look is undone by that look and no other.
  const isAlike = ({ to, name }: Recorded) =>
    name === call.name || (to === 'xapi' && !call.isUndoing && classOf(name) === classOf(call.name));
  const alike = all.filter((other) => isBeside(other, call) && !acts(other) && isAlike(other));
  return alike.find(({ isOnHandle }) => isOnHandle) ?? alike[0];
}

const classOf = (name: string) => name.split('.')[0];
const isStep = (state: string) => /^[A-Z]/.test(state) && state !== 'QueueForHost';

function isBeside(other: Recorded, { run, state, to }: Recorded): boolean {
  return other.run === run && other.state === state && other.to === to;
}

function lastOf(call: Recorded, all: readonly Recorded[]): number {
  return all.filter((other) => isBeside(other, call) && other.name === call.name).length;
}

/** Whether the wrapper around the steps makes the call, and not what the step does: login, token, the record's mark. */
function isOfEveryStep(call: Recorded, all: readonly Recorded[]): boolean {
  const { state, to, name, nth } = call;
  if (to === 'secrets' || to === 'keystone') return true;
  if (to === 'xapi') return name.startsWith('session.');
  // That it begins, and that it has ended.
  return (
    isStep(state) && to === 'dynamodb' && name === 'UpdateItem' && (nth === 1 || nth === lastOf(call, all))
  );
}

function cellsOf(call: Struck & { readonly run: RunName }): CallCell[] {
  const { run, state, to, name, nth } = call;
  return Object.entries(CATALOGUE[to])
    .filter(([, { of }]) => of?.(call) ?? true)
    .map(([fault]) => ({
      id: `${placeOf(run)}${state}/${to}/${name.replaceAll(' ', '_')}#${nth}/${fault}`,
      ...{ run, state, to, name, nth, fault },
    }));
}

/** Of these runs something also happens at each state that they pass. */
const EVENTFUL: readonly RunName[] = ['plain', 'restore', 'restore-into', 'restore-test'];

function eventCells(recorded: readonly Recorded[]): EventCell[] {
  return EVENTFUL.flatMap((run) => {
    const passed = new Set(recorded.filter((call) => call.run === run).map(({ state }) => state));
    return [...passed]
      .filter((state) => /^[A-Z]/.test(state))
      .flatMap((state) =>
        EVENTS.filter((event) => mayHappen(event, state)).map((event) => ({
          id: `${placeOf(run)}${state}/${event.replaceAll(' ', '-').replace(',', '')}`,
          ...{ run, state, event },
        })),
      );
  });
}

/**
 * There is no handler in which a job queues; and a host has to have something of the job's before it matters that it is
 * gone for good.
 */
function mayHappen(event: EventName, state: string): boolean {
  if (event.startsWith('called twice')) return state !== 'QueueForHost';
  return event !== 'host dies, is ejected' || !BEFORE_HOST.test(state);
}

const BEFORE_HOST = /^(TakeVm|InspectVm|InspectImage|QueueForHost|ConfirmHost|CreateDisks)$/;

const placeOf = (run: RunName) => (run === 'plain' ? '' : `${run}:`);
