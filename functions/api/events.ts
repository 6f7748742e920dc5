import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';
import { eventsOf } from '../events.ts';
import type { Runtime } from '../runtime/executions.ts';
import { callerOf } from './caller.ts';
import { EventsView, eventView } from './event-view.ts';
import { problems } from './problem.ts';
import { JobId, seenJob } from './visible-job.ts';

const list = createRoute({
  method: 'get',
  path: '/snapshots/{id}/events',
  operationId: 'listEvents',
  summary: 'Tells what a job has done, how often it tried, and why it waits now',
  description:
    "Out of its execution's history, which Step Functions keeps for 90 days after its end, and a service on one machine until it stops: after that there are the beginning and the end alone.",
  request: { params: JobId },
  responses: {
    200: { description: 'The events.', content: { 'application/json': { schema: EventsView } } },
    ...problems(401, 403, 404, 500, 503),
  },
});

export function routeEvents(app: OpenAPIHono, runtime: Runtime): void {
  app.openapi(list, async (c) => {
    const caller = callerOf(c, runtime.config);
    const job = await seenJob(c.req.valid('param').id, caller, runtime.store);
    const events = await eventsOf(job, runtime.executions.history(job));
    return c.json({ events: events.map((event) => eventView(event, caller)) }, 200);
  });
}
