import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { MachineName } from '../../statemachine/contract.ts';
import { cancelJob } from '../cancel.ts';
import { eventsOf } from '../events.ts';
import type { JobOf } from '../job.ts';
import type { Runtime } from '../runtime/executions.ts';
import { type Caller, callerOf } from './caller.ts';
import { noteJob } from './changes.ts';
import { EventsView, eventView } from './event-view.ts';
import { problems } from './problem.ts';
import { JobId, seenJob } from './visible-job.ts';

/** The jobs of a machine, as the API calls and shows them. */
export interface JobKind<M extends MachineName> {
  readonly machine: M;
  readonly path: `/${string}`;
  /** Ends the names of the operations: `getSnapshot`. */
  readonly noun: string;
  /** The name of the operation that lists events. */
  readonly listEvents: string;
  readonly View: z.ZodType<object>;
  /** A job of which more is told than in a list. */
  readonly seen: (job: JobOf<M>, caller: Caller) => Promise<object>;
  /** What is looked at before one job is told of, beside its record. */
  readonly look?: (job: JobOf<M>) => Promise<JobOf<M>>;
}

const json = <V extends z.ZodType>(schema: V) => ({ 'application/json': { schema } });

/** The route of a request for a job: 202 and its Location, once for each Idempotency-Key. */
export function requestRoute<const P extends string, B extends z.ZodType, V extends z.ZodType>(
  path: P,
  { operationId, summary, Body, View }: { operationId: string; summary: string; Body: B; View: V },
) {
  return createRoute({
    method: 'post',
    path,
    operationId,
    summary,
    request: {
      headers: z.object({
        'idempotency-key': z.string().min(1).max(255).optional().openapi({
          description:
            'Of the caller: the same key with the same body answers with the same job, for a day; with another body, 409.',
        }),
      }),
      body: { required: true, content: json(Body) },
    },
    responses: {
      202: {
        description: 'The job has begun, or had begun before with this key.',
        content: json(View),
        headers: z.object({ Location: z.string().openapi({ example: `${path}/{id}` }) }),
      },
      ...problems(400, 401, 403, 404, 409, 413, 415, 500, 501, 502, 503),
    },
  });
}

/** The route of a list of jobs. */
export function listRoute<const P extends string, Q extends z.ZodObject, V extends z.ZodType>(
  path: P,
  { operationId, summary, Query, Page }: { operationId: string; summary: string; Query: Q; Page: V },
) {
  return createRoute({
    method: 'get',
    path,
    operationId,
    summary,
    request: { query: Query },
    responses: {
      200: {
        description:
          'A page. Go on with marker=next until next is null; a page may be shorter than the limit.',
        content: json(Page),
      },
      ...problems(400, 401, 403, 500, 503),
    },
  });
}

/** Serves what is the same for one job of every machine: how it stands, what it has done, and its end. */
export function routeOneJob<M extends MachineName>(
  app: OpenAPIHono,
  runtime: Runtime,
  { machine, path, noun, listEvents, View, seen, look = async (job) => job }: JobKind<M>,
): void {
  const { store, config } = runtime;

  const get = createRoute({
    method: 'get',
    path: `${path}/{id}`,
    operationId: `get${noun}`,
    summary: 'Tells how a job stands',
    request: { params: JobId },
    responses: {
      200: { description: 'The job.', content: json(View) },
      ...problems(401, 403, 404, 500, 503),
    },
  });
  app.openapi(get, async (c) => {
    const caller = callerOf(c, config);
    const job = await seenJob(machine, c.req.valid('param').id, caller, store);
    return c.json(await seen(await look(job), caller), 200);
  });

  const cancel = createRoute({
    method: 'delete',
    path: `${path}/{id}`,
    operationId: `cancel${noun}`,
    summary: 'Cancels a job that is not past its commit point',
    description: 'The job undoes what it has done and ends as cancelled.',
    request: { params: JobId },
    responses: {
      202: { description: 'It is being undone.', content: json(View) },
      ...problems(401, 403, 404, 409, 413, 415, 500, 503),
    },
  });
  app.openapi(cancel, async (c) => {
    const caller = callerOf(c, config);
    const job = await seenJob(machine, c.req.valid('param').id, caller, store);
    noteJob(c, job.id);
    return c.json(await seen(await cancelJob(job, runtime, caller.actor), caller), 202);
  });

  const events = createRoute({
    method: 'get',
    path: `${path}/{id}/events`,
    operationId: listEvents,
    summary: 'Tells what a job has done, how often it tried, and why it waits now',
    description:
      "Out of its execution's history, which Step Functions keeps for 90 days after its end, and a service on one machine until it stops: after that there are the beginning and the end alone.",
    request: { params: JobId },
    responses: {
      200: { description: 'The events.', content: json(EventsView) },
      ...problems(401, 403, 404, 500, 503),
    },
  });
  app.openapi(events, async (c) => {
    const caller = callerOf(c, config);
    const job = await seenJob(machine, c.req.valid('param').id, caller, store);
    const found = await eventsOf(job, runtime.executions.history(job));
    return c.json({ events: found.map((event) => eventView(event, caller)) }, 200);
  });
}
