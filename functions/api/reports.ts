import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Runtime } from '../runtime/executions.ts';
import { reportOf } from '../schedules/report.ts';
import { callerOf, confinedTo } from './caller.ts';
import { problems } from './problem.ts';
import { ReportView, reportView } from './report-view.ts';
import { strict } from './validation.ts';

const get = createRoute({
  method: 'get',
  path: '/reports',
  operationId: 'getReport',
  summary: 'Reports what ran on a day, what did not and why, and how old each VM’s last backup is',
  description:
    'Before it answers it looks which VMs the schedules cover now, and which backups Glance still has, as far as both answer within seconds: see `gaps`.',
  request: {
    query: strict({
      date: z.iso
        .date('must be a day of the calendar such as 2026-11-23')
        .optional()
        .openapi({ description: 'UTC day of the nominal times; today if absent.' }),
    }),
  },
  responses: {
    200: { description: 'The report.', content: { 'application/json': { schema: ReportView } } },
    ...problems(400, 401, 403, 500, 503),
  },
});

export function routeReports(app: OpenAPIHono, runtime: Runtime): void {
  app.openapi(get, async (c) => {
    const caller = callerOf(c, runtime.config);
    const project = confinedTo(caller)?.id;
    const date = c.req.valid('query').date ?? runtime.clock.now().toISOString().slice(0, 10);
    return c.json(reportView(date, await reportOf(date, project, runtime), caller), 200);
  });
}
