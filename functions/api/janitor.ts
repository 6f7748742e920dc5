import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { NotImplemented, problems } from './problem.ts';
import { strict } from './validation.ts';

/** Runs the janitor once; what it answers is the report as callers see it. */
export type RunJanitor = (dryRun: boolean) => Promise<object>;

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
          }).openapi('JanitorRun'),
        },
      },
    },
  },
  responses: {
    200: {
      description: 'What was found and done.',
      content: { 'application/json': { schema: z.looseObject({}).openapi('JanitorReport') } },
    },
    ...problems(400, 413, 415, 500, 501, 502, 503),
  },
});

export function routeJanitor(app: OpenAPIHono, runJanitor: RunJanitor | undefined): void {
  app.openapi(run, async (c) => {
    if (!runJanitor)
      throw new NotImplemented('The janitor is not run by this API; it has a schedule of its own.');
    return c.json({ ...(await runJanitor(c.req.valid('json').dryRun)) }, 200);
  });
}
