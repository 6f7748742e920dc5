import type { HistoryEvent } from '@aws-sdk/client-sfn';

/** A visit to a state, or the execution's own events at either end: its name, and what happened in it. */
export interface Visit {
  readonly state: string;
  readonly events: readonly string[];
}

/** What an execution has done, visit by visit. Times, ids and payloads are left out: they differ from run to run. */
export function visitsOf(history: readonly HistoryEvent[]): Visit[] {
  const visits: { state: string; events: string[] }[] = [];
  for (const event of history) {
    const entered = event.stateEnteredEventDetails?.name;
    const isOwn = event.type?.startsWith('Execution') === true;
    if (entered !== undefined || isOwn) visits.push({ state: entered ?? 'the execution', events: [] });
    visits.at(-1)?.events.push(`${event.type}${errorOf(event)}`);
  }
  return visits;
}

function errorOf(event: HistoryEvent): string {
  // What an execution was stopped with, moto forgets.
  if (event.type === 'ExecutionAborted') return '';
  const details = Object.entries(event).find(([name]) => name.endsWith('EventDetails'))?.[1];
  const { error } = (details ?? {}) as { error?: string };
  return error ? ` ${error}` : '';
}

/** Visits that a look takes, such as PollUpload and IsUploadDone. */
const LONGEST_LOOK = 3;
const WAITED = ['WaitStateEntered', 'WaitStateExited'];
/** What is in a visit that tells nothing but that it was made. */
const PLAIN = [
  [
    'TaskStateEntered',
    'LambdaFunctionScheduled',
    'LambdaFunctionStarted',
    'LambdaFunctionSucceeded',
    'TaskStateExited',
  ],
  ['ChoiceStateEntered', 'ChoiceStateExited'],
  WAITED,
].map((events) => events.join());

/**
 * The same with the last one of the looks that were made while a job waited: how often it looked depends on the time that
 * it took. A look is left out only where it, and the wait behind it, have the events that they must have.
 */
export function withoutWaits(visits: readonly Visit[]): Visit[] {
  const kept: Visit[] = [];
  for (const visit of visits) {
    if (kept.at(-1)?.events.join() === WAITED.join()) {
      const before = kept.slice(-LONGEST_LOOK - 1);
      const look = before.slice(before.findLastIndex(({ state }) => state === visit.state));
      if (look[0]?.state === visit.state && look.every(({ events }) => PLAIN.includes(events.join())))
        kept.splice(-look.length);
    }
    kept.push(visit);
  }
  return kept;
}

/** How many events there are in it. */
export function eventsIn(visits: readonly Visit[]): number {
  return visits.reduce((sum, { events }) => sum + events.length, 0);
}
