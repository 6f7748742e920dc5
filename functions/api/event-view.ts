import { z } from '@hono/zod-openapi';
import type { JobEvent } from '../events.ts';
import { type Listener, toldTo } from './told-to.ts';

const time = z.iso.datetime();

/** What a job did in one state, as callers see it. */
const EventView = z
  .object({
    state: z.string().openapi({
      description: "The state machine's state; `Requested` and `Finished` for the job's beginning and end.",
      example: 'StartUpload',
    }),
    from: time,
    to: time.nullable().openapi({ description: 'Null while it is there.' }),
    tries: z.int().min(0).openapi({ description: 'How often its work was begun: looks and second tries.' }),
    failures: z.int().min(0).openapi({ description: 'How many of these failed.' }),
    failure: z
      .object({ at: time, name: z.string(), message: z.string() })
      .nullable()
      .openapi({ description: 'The last of them.' }),
    nextTryBy: time.nullable().openapi({ description: 'It failed, and is tried again by then.' }),
  })
  .openapi('JobEvent');

/** Oldest first. */
export const EventsView = z.object({ events: z.array(EventView) }).openapi('JobEvents');
export type EventsView = z.infer<typeof EventsView>;

export function eventView(
  { to, failure, nextTryBy, ...event }: JobEvent,
  listener: Listener,
): EventsView['events'][number] {
  return {
    ...event,
    to: to ?? null,
    failure: failure ? { at: failure.at, ...toldTo(listener, failure) } : null,
    nextTryBy: nextTryBy ?? null,
  };
}
