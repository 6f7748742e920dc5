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

/** Visits that a look takes, such as PollUpload and IsUploadDone; a step that waits may take one more. */
const LONGEST_LOOK = 3;
const WAITED = JSON.stringify(['WaitStateEntered', 'WaitStateExited']);

/**
 * The same with one of the looks that were made while a job waited: how often it looked depends on the time that it took.
 * A look counts as the same only where each event of it is.
 */
export function withoutWaits(visits: readonly Visit[]): Visit[] {
  const kept: Visit[] = [];
  for (const visit of visits) {
    kept.push(visit);
    for (let length = 1; length <= LONGEST_LOOK; length += 1) {
      const [before, [wait], look] = [
        kept.slice(-2 * length - 1, -length - 1),
        kept.slice(-length - 1, -length),
        kept.slice(-length),
      ];
      if (JSON.stringify(wait?.events) !== WAITED || JSON.stringify(look) !== JSON.stringify(before))
        continue;
      kept.splice(-length - 1);
      break;
    }
  }
  return kept;
}

/** How many events there are in it. */
export function eventsIn(visits: readonly Visit[]): number {
  return visits.reduce((sum, { events }) => sum + events.length, 0);
}
