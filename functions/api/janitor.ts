import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { XensnapError } from '../errors.ts';
import type { JanitorReport } from '../janitor/finding.ts';
import type { Runtime } from '../runtime/executions.ts';
import { callerOf, requireAdmin } from './caller.ts';
import { LastRoundView, RoundView, roundView } from './janitor-view.ts';
import { NotImplemented, problems } from './problem.ts';
import { NoQuery, strict } from './validation.ts';

/** Runs the janitor once, for whom it is told. */
export type RunJanitor = (dryRun: boolean, actor: string) => Promise<JanitorReport>;

const run = createRoute({
  method: 'post',
  path: '/janitor',
  operationId: 'runJanitor',
  summary: 'Looks for what jobs have left behind, and removes it',
  request: {
    body: {
      required: true,
      content: {
        'application/json': {
          schema: strict({
            dryRun: z.boolean().default(false).openapi({ description: 'Reports only.' }),
          }).openapi('JanitorRun', { example: { dryRun: true } }),
        },
      },
    },
  },
  responses: {
    200: {
      description: 'What was found and done.',
      content: { 'application/json': { schema: RoundView } },
    },
    ...problems(400, 401, 403, 413, 415, 500, 501, 502, 503),
  },
});

const getLast = createRoute({
  method: 'get',
  path: '/janitor',
  operationId: 'getJanitorReport',
  summary: "What the janitor's last round found, by its schedule or by request",
  request: { query: NoQuery },
  responses: {
    200: {
      description: 'The report.',
      content: { 'application/json': { schema: LastRoundView } },
    },
    ...problems(400, 401, 403, 404, 500, 503),
  },
});

export function routeJanitor(
  app: OpenAPIHono,
  { config, store }: Runtime,
  runJanitor: RunJanitor | undefined,
): void {
  app.openapi(run, async (c) => {
    const caller = callerOf(c, config);
    requireAdmin(caller);
    if (!runJanitor)
      throw new NotImplemented(
        'The janitor is not run by this API; it has a schedule of its own. GET /janitor has its last report.',
      );
    return c.json(roundView(await runJanitor(c.req.valid('json').dryRun, caller.actor)), 200);
  });
  app.openapi(getLast, async (c) => {
    requireAdmin(callerOf(c, config));
    const report = await store.janitorReports.last();
    if (!report) throw new XensnapError('NotFound', 'The janitor has not finished a round yet.');
    return c.json(roundView(report), 200);
  });
}
