import type { OpenAPIHono } from '@hono/zod-openapi';
import type { RestoreJob } from '../job.ts';
import { requestRestore } from '../restore-request.ts';
import type { RestoreWish } from '../restore-wish.ts';
import type { Runtime } from '../runtime/executions.ts';
import { type Caller, callerOf, confinedTo, onBehalfOf } from './caller.ts';
import { noteJob } from './changes.ts';
import { keyOf } from './idempotency.ts';
import { listRoute, requestRoute, routeOneJob } from './job-routes.ts';
import { viewDeps } from './job-waits.ts';
import { routeKept } from './kept.ts';
import { listRestores } from './listing.ts';
import { markerOf, positionOf } from './marker.ts';
import { NewRestore, RestoreQuery } from './restore-input.ts';
import { RestorePage, RestoreView, restoreView } from './restore-view.ts';
import { present } from './validation.ts';

const PATH = '/restores';

const request = requestRoute(PATH, {
  operationId: 'requestRestore',
  summary: 'Brings an image back into a pool',
  Body: NewRestore,
  View: RestoreView,
});

const list = listRoute(PATH, {
  operationId: 'listRestores',
  summary: 'Lists restores, newest first',
  Query: RestoreQuery,
  Page: RestorePage,
});

export function routeRestores(app: OpenAPIHono, runtime: Runtime): void {
  const { store, config } = runtime;
  const seen = async (job: RestoreJob, caller: Caller) =>
    restoreView(job, caller, await viewDeps(job, runtime));

  app.openapi(request, async (c) => {
    const caller = callerOf(c, config);
    const body = present(c.req.valid('json'));
    const wish: RestoreWish = {
      ...body,
      ...onBehalfOf(caller),
      ...keyOf(caller, c.req.valid('header')['idempotency-key'], body),
    };
    const { job } = await requestRestore(wish, runtime);
    noteJob(c, job.id);
    c.header('Location', `${PATH}/${job.id}`);
    return c.json(await seen(job, caller), 202);
  });

  app.openapi(list, async (c) => {
    const { marker, limit, ...filter } = c.req.valid('query');
    const after = marker === undefined ? {} : { after: positionOf(marker) };
    const caller = callerOf(c, config);
    const project = confinedTo(caller)?.id;
    const { jobs, next } = await listRestores(store, { ...filter, project }, { limit, ...after });
    return c.json(
      { restores: jobs.map((job) => restoreView(job, caller, runtime)), next: next && markerOf(next) },
      200,
    );
  });

  routeKept(app, runtime);
  routeOneJob(app, runtime, {
    machine: 'restore',
    path: PATH,
    noun: 'Restore',
    listEvents: 'listRestoreEvents',
    View: RestoreView,
    seen,
  });
}
