import type { EventsView } from '../functions/api/event-view.ts';
import { time } from './format.ts';
import { table } from './table.ts';

type Event = EventsView['events'][number];

/** What a job did, a line for each state, and why it waits if it does. */
export function eventsReport({ events }: EventsView): string {
  const lines = table(
    events.map((event) => ({
      FROM: time(event.from),
      TO: event.to && time(event.to),
      STATE: event.state,
      TRIES: event.tries,
      FAILED: event.failures,
      'LAST FAILURE': event.failure && `${event.failure.name}: ${event.failure.message}`,
    })),
  );
  const last = events.at(-1);
  return last?.nextTryBy ? `${lines}\n\n${waitText(last, last.nextTryBy)}` : lines;
}

function waitText({ state, failures, failure }: Event, nextTryBy: string): string {
  const times = failures === 1 ? 'once' : `${failures} times`;
  return `${state} has failed ${times}, the last time at ${time(failure?.at ?? nextTryBy)}. It is tried again by ${time(nextTryBy)} at the latest.`;
}
