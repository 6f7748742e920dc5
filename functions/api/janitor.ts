import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { XensnapError } from '../errors.ts';
import { FINDING_ACTIONS, FINDING_KINDS, type JanitorReport } from '../janitor/finding.ts';
import type { Runtime } from '../runtime/executions.ts';
import { callerOf, requireAdmin } from './caller.ts';
import { NotImplemented, problems } from './problem.ts';
import { NoQuery, strict } from './validation.ts';

/** Runs the janitor once, for whom it is told. */
export type RunJanitor = (dryRun: boolean, actor: string) => Promise<JanitorReport>;

const Report = z
  .object({
    dryRun: z.boolean(),
    requestedBy: z
      .string()
      .nullable()
      .openapi({ description: 'Who asked for the round; null for one of its schedule.' }),
    startedAt: z.iso.datetime(),
    finishedAt: z.iso.datetime(),
    findings: z.array(
      z.object({
        kind: z.enum(FINDING_KINDS),
        pool: z.string().optional(),
        id: z.string().openapi({ description: 'UUID or id of what was found.' }),
        what: z.string(),
        action: z.enum(FINDING_ACTIONS).openapi({
          description: 'would: a dry run; left: a person must look; failed: tried again the next time.',
        }),
      }),
    ),
  })
  .openapi('JanitorReport');

const KeptReport = Report.extend({
  omitted: z
    .int()
    .openapi({ description: "Findings for which there was no room; the janitor's log has them." }),
}).openapi('KeptJanitorReport');

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
      content: { 'application/json': { schema: Report } },
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
      content: { 'application/json': { schema: KeptReport } },
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
    return c.json(reportView(await runJanitor(c.req.valid('json').dryRun, caller.actor)), 200);
  });
  app.openapi(getLast, async (c) => {
    requireAdmin(callerOf(c, config));
    const report = await store.janitorReports.last();
    if (!report) throw new XensnapError('NotFound', 'The janitor has not finished a round yet.');
    return c.json(reportView(report), 200);
  });
}

function reportView<R extends JanitorReport>(report: R) {
  const { actor, findings, ...rest } = report;
  return { ...rest, requestedBy: actor ?? null, findings: [...findings] };
}
