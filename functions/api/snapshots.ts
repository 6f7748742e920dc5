import type { OpenAPIHono } from '@hono/zod-openapi';
import type { SnapshotJob } from '../job.ts';
import { requestSnapshot } from '../request.ts';
import type { Runtime } from '../runtime/executions.ts';
import type { SnapshotRequest } from '../snapshot-request.ts';
import { type Caller, callerOf, confinedTo, onBehalfOf } from './caller.ts';
import { noteJob } from './changes.ts';
import { keyOf } from './idempotency.ts';
import { listRoute, requestRoute, routeOneJob } from './job-routes.ts';
import { viewDeps } from './job-waits.ts';
import { listSnapshots } from './listing.ts';
import { lookAtImage } from './look-at-image.ts';
import { markerOf, positionOf } from './marker.ts';
import { NewSnapshot, SnapshotQuery } from './snapshot-input.ts';
import { present } from './validation.ts';
import { JobPage, JobView, jobView } from './view.ts';

const PATH = '/snapshots';

const request = requestRoute(PATH, {
  operationId: 'requestSnapshot',
  summary: 'Takes an image of a VM',
  Body: NewSnapshot,
  View: JobView,
});

const list = listRoute(PATH, {
  operationId: 'listSnapshots',
  summary: 'Lists snapshots, newest first',
  Query: SnapshotQuery,
  Page: JobPage,
});

export function routeSnapshots(app: OpenAPIHono, runtime: Runtime): void {
  const { store, config } = runtime;
  const seen = async (job: SnapshotJob, caller: Caller) => jobView(job, caller, await viewDeps(job, runtime));

  app.openapi(request, async (c) => {
    const caller = callerOf(c, config);
    const body = present(c.req.valid('json'));
    const wish: SnapshotRequest = {
      ...body,
      ...onBehalfOf(caller),
      ...keyOf(caller, c.req.valid('header')['idempotency-key'], body),
    };
    const { job } = await requestSnapshot(wish, runtime);
    noteJob(c, job.id);
    c.header('Location', `${PATH}/${job.id}`);
    return c.json(await seen(job, caller), 202);
  });

  app.openapi(list, async (c) => {
    const { marker, limit, ...filter } = c.req.valid('query');
    const after = marker === undefined ? {} : { after: positionOf(marker) };
    const caller = callerOf(c, config);
    const project = confinedTo(caller)?.id;
    const { jobs, next } = await listSnapshots(store, config, { ...filter, project }, { limit, ...after });
    return c.json(
      { snapshots: jobs.map((job) => jobView(job, caller, runtime)), next: next && markerOf(next) },
      200,
    );
  });

  routeOneJob(app, runtime, {
    machine: 'snapshot',
    path: PATH,
    noun: 'Snapshot',
    listEvents: 'listEvents',
    View: JobView,
    seen,
    look: (job) => lookAtImage(job, runtime),
  });
}
