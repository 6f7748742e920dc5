import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';
import { mapBounded } from '../bounded.ts';
import { destroyKept, type KeptDisk, keptDisks } from '../kept-disks.ts';
import type { Runtime } from '../runtime/executions.ts';
import { undoRestore } from '../undo-restore.ts';
import { isUuid } from '../uuid.ts';
import { callerOf, confinedTo, onBehalfOf } from './caller.ts';
import { noteJob } from './changes.ts';
import { viewDeps } from './job-waits.ts';
import { KeptDisksView, keptDiskView } from './kept-view.ts';
import { problems } from './problem.ts';
import { RestoreView, restoreView } from './restore-view.ts';
import { toldTo } from './told-to.ts';
import { NoQuery } from './validation.ts';
import { JobId, seenJob } from './visible-job.ts';

const list = createRoute({
  method: 'get',
  path: '/restores/kept',
  operationId: 'listKeptDisks',
  summary: 'Lists the disks that restores have taken out of VMs, the oldest first',
  description: 'They stay until somebody destroys them. A project sees those of its own restores.',
  request: { query: NoQuery },
  responses: {
    200: { description: 'The disks.', content: { 'application/json': { schema: KeptDisksView } } },
    ...problems(400, 401, 403, 500, 503),
  },
});

const undo = createRoute({
  method: 'post',
  path: '/restores/{id}/undo',
  operationId: 'undoRestore',
  summary: 'Gives a VM the disk back that it had before a restore into it',
  description:
    'The VM must be halted. The disk that was restored is kept in the place of the other one. What was undone before is answered as it is; what breaks off half-way goes on with the same request, or by itself.',
  request: { params: JobId },
  responses: {
    200: { description: 'It is undone.', content: { 'application/json': { schema: RestoreView } } },
    ...problems(401, 403, 404, 409, 413, 415, 500, 503),
  },
});

const destroy = createRoute({
  method: 'delete',
  path: '/restores/{id}/kept',
  operationId: 'destroyKeptDisk',
  summary: 'Destroys the disk that a restore has kept',
  description: 'There is no way back. A disk that is attached anywhere stays.',
  request: { params: JobId },
  responses: { 204: { description: 'It is gone.' }, ...problems(401, 403, 404, 409, 413, 415, 500, 503) },
});

/** What becomes of the disks that restores into VMs have exchanged. Before `/restores/{id}`, which takes any word. */
export function routeKept(app: OpenAPIHono, runtime: Runtime): void {
  const { store, config } = runtime;

  app.openapi(list, async (c) => {
    const caller = callerOf(c, config);
    const { disks, gaps } = await keptDisks(runtime);
    const project = confinedTo(caller)?.id;
    const theirs = project === undefined ? disks : await ofProject(disks, project, runtime);
    return c.json(
      {
        kept: theirs.map(keptDiskView),
        gaps: gaps.map(({ pool, ...reason }) => ({ pool, ...toldTo(caller, reason) })),
      },
      200,
    );
  });

  app.openapi(undo, async (c) => {
    const caller = callerOf(c, config);
    const { id } = await seenJob('restore', c.req.valid('param').id, caller, store);
    noteJob(c, id);
    const job = await undoRestore(id, onBehalfOf(caller), runtime);
    return c.json(restoreView(job, caller, await viewDeps(job, runtime)), 200);
  });

  app.openapi(destroy, async (c) => {
    const caller = callerOf(c, config);
    const { id } = c.req.valid('param');
    // Of a restore whose record has expired, nobody knows any more whose it was.
    if (confinedTo(caller) || !isUuid(id) || (await store.jobs.restore(id)))
      await seenJob('restore', id, caller, store);
    noteJob(c, id);
    await destroyKept(id, runtime, onBehalfOf(caller));
    return c.body(null, 204);
  });
}

const JOBS_AT_ONCE = 8;

async function ofProject(
  disks: readonly KeptDisk[],
  project: string,
  { store }: Runtime,
): Promise<readonly KeptDisk[]> {
  const jobs = await mapBounded(disks, JOBS_AT_ONCE, ({ jobId }) => store.jobs.restore(jobId));
  return disks.filter((_, index) => jobs[index]?.project === project);
}
