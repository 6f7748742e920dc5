import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { XensnapError } from '../errors.ts';
import type { Runtime } from '../runtime/executions.ts';
import { reportOf } from '../schedules/report.ts';
import { callerOf, confinedTo } from './caller.ts';
import { problems } from './problem.ts';
import { reportPlaceOf } from './report-pages.ts';
import { ReportView, reportView } from './report-view.ts';
import { markerField, strict } from './validation.ts';

const get = createRoute({
  method: 'get',
  path: '/reports',
  operationId: 'getReport',
  summary: 'Reports what ran on a day, what did not and why, and how old each VM’s last backup is',
  description:
    'Before it answers it looks which VMs the schedules cover now, and which backups Glance still has, as far as both answer within seconds: see `gaps`. A page has as much as an answer has room for, some ten thousand entries: go on with marker=next until next is null. Each page is made anew, and its summary is over all there is; what ends between two pages is told once, as it was or as it is.',
  request: {
    query: strict({
      date: z.iso
        .date('must be a day of the calendar such as 2026-11-23')
        .optional()
        .openapi({ description: 'UTC day of the nominal times; today if absent.' }),
      ...markerField,
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
    const { date, marker } = c.req.valid('query');
    const at = runtime.clock.now().toISOString();
    const after =
      marker === undefined ? { date: date ?? at.slice(0, 10), at, told: {} } : reportPlaceOf(marker);
    if (date !== undefined && date !== after.date)
      throw new XensnapError('BadRequest', `date: the marker is of a report on ${after.date}.`);
    const report = await reportOf(after.date, project, runtime, after.at);
    return c.json(reportView(report, caller, after), 200);
  });
}
