import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { cancelJob } from '../cancel.ts';
import type { SnapshotJob } from '../job.ts';
import { requestSnapshot } from '../request.ts';
import type { Runtime } from '../runtime/executions.ts';
import type { SnapshotRequest } from '../snapshot-request.ts';
import { type Caller, callerOf, confinedTo, onBehalfOf } from './caller.ts';
import { noteJob } from './changes.ts';
import { idempotencyOf } from './idempotency.ts';
import { viewDeps } from './job-waits.ts';
import { listJobs } from './listing.ts';
import { lookAtImage } from './look-at-image.ts';
import { markerOf, positionOf } from './marker.ts';
import { problems } from './problem.ts';
import { ListQuery, NewSnapshot } from './snapshot-input.ts';
import { JobPage, JobView, jobView } from './view.ts';
import { JobId, seenJob } from './visible-job.ts';

const ofJob = { 'application/json': { schema: JobView } };
const Location = z.object({ Location: z.string().openapi({ example: '/snapshots/{id}' }) });

const request = createRoute({
  method: 'post',
  path: '/snapshots',
  operationId: 'requestSnapshot',
  summary: 'Takes an image of a VM',
  request: {
    headers: z.object({
      'idempotency-key': z.string().min(1).max(255).optional().openapi({
        description:
          'Of the caller: the same key with the same body answers with the same job, for a day; with another body, 409.',
      }),
    }),
    body: { required: true, content: { 'application/json': { schema: NewSnapshot } } },
  },
  responses: {
    202: {
      description: 'The job has begun, or had begun before with this key.',
      content: ofJob,
      headers: Location,
    },
    ...problems(400, 401, 403, 404, 409, 413, 415, 500, 501, 502, 503),
  },
});

const list = createRoute({
  method: 'get',
  path: '/snapshots',
  operationId: 'listSnapshots',
  summary: 'Lists jobs, newest first',
  request: { query: ListQuery },
  responses: {
    200: {
      description: 'A page. Go on with marker=next until next is null; a page may be shorter than the limit.',
      content: {
        'application/json': {
          schema: JobPage,
        },
      },
    },
    ...problems(400, 401, 403, 500, 503),
  },
});

const get = createRoute({
  method: 'get',
  path: '/snapshots/{id}',
  operationId: 'getSnapshot',
  summary: 'Tells how a job stands',
  request: { params: JobId },
  responses: { 200: { description: 'The job.', content: ofJob }, ...problems(401, 403, 404, 500, 503) },
});

const cancel = createRoute({
  method: 'delete',
  path: '/snapshots/{id}',
  operationId: 'cancelSnapshot',
  summary: 'Cancels a job that is not past its commit point',
  description: 'The job undoes what it has done and ends as cancelled.',
  request: { params: JobId },
  responses: {
    202: { description: 'It is being undone.', content: ofJob },
    ...problems(401, 403, 404, 409, 415, 500, 503),
  },
});

export function routeSnapshots(app: OpenAPIHono, runtime: Runtime): void {
  const { store, config } = runtime;
  const seen = async (job: SnapshotJob, caller: Caller) => jobView(job, caller, await viewDeps(job, runtime));

  app.openapi(request, async (c) => {
    const key = c.req.valid('header')['idempotency-key'];
    const caller = callerOf(c, config);
    const body = present(c.req.valid('json'));
    const wish: SnapshotRequest = {
      ...body,
      ...onBehalfOf(caller),
      ...(key !== undefined && { idempotency: idempotencyOf(caller, key, body) }),
    };
    const { job } = await requestSnapshot(wish, runtime);
    noteJob(c, job.id);
    c.header('Location', `/snapshots/${job.id}`);
    return c.json(await seen(job, caller), 202);
  });

  app.openapi(list, async (c) => {
    const { marker, limit, ...filter } = c.req.valid('query');
    const after = marker === undefined ? {} : { after: positionOf(marker) };
    const caller = callerOf(c, config);
    const project = confinedTo(caller)?.id;
    const { jobs, next } = await listJobs(store, config, { ...filter, project }, { limit, ...after });
    return c.json(
      { snapshots: jobs.map((job) => jobView(job, caller, runtime)), next: next && markerOf(next) },
      200,
    );
  });

  app.openapi(get, async (c) => {
    const caller = callerOf(c, config);
    const job = await seenJob(c.req.valid('param').id, caller, store);
    return c.json(await seen(await lookAtImage(job, runtime), caller), 200);
  });

  app.openapi(cancel, async (c) => {
    const caller = callerOf(c, config);
    const job = await seenJob(c.req.valid('param').id, caller, store);
    noteJob(c, job.id);
    return c.json(await seen(await cancelJob(job, runtime, caller.actor), caller), 202);
  });
}

/** The object as it is: a validated body has no field whose value is undefined, only TypeScript can't know. */
function present<T extends object>(body: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return body as { [K in keyof T]: Exclude<T[K], undefined> };
}
