import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Runtime } from '../runtime/executions.ts';
import { reportOf } from '../schedules/report.ts';
import { callerOf, confinedTo } from './caller.ts';
import { problems } from './problem.ts';
import { toldTo } from './told-to.ts';
import { strict } from './validation.ts';

const time = z.iso.datetime();
/** An answer of Lambda has 6 MB at most. */
const MOST_RUNS = 10_000;

const Report = z
  .object({
    date: z.iso.date(),
    runs: z.array(
      z.object({
        scheduleId: z.uuid(),
        nominal: time,
        vm: z
          .object({ pool: z.string(), uuid: z.string(), name: z.string() })
          .nullable()
          .openapi({ description: 'Null where a run came to nothing before its VMs were known.' }),
        pool: z.string().nullable(),
        backupType: z.string(),
        jobId: z.uuid().nullable(),
        state: z.enum(['waiting', 'running', 'succeeded', 'failed', 'skipped']),
        reason: z.object({ name: z.string(), message: z.string() }).nullable(),
        finishedAt: time.nullable(),
      }),
    ),
    omitted: z.int().openapi({ description: `Runs past the first ${MOST_RUNS}.` }),
    vms: z
      .array(
        z.object({
          pool: z.string(),
          uuid: z.string(),
          name: z.string(),
          lastBackup: z.object({ imageId: z.uuid(), type: z.string(), verifiedAt: time }).nullable(),
          ageHours: z
            .number()
            .openapi({ description: 'Of the last verified backup; without one, since it is scheduled.' }),
        }),
      )
      .openapi({ description: 'The VMs of enabled schedules as they stand now, the oldest backup first.' }),
    due: z
      .array(z.object({ scheduleId: z.uuid(), name: z.string().nullable(), at: time }))
      .openapi({ description: 'When each enabled schedule is due next.' }),
  })
  .openapi('Report');

const get = createRoute({
  method: 'get',
  path: '/reports',
  operationId: 'getReport',
  summary: 'Reports what ran on a day, what did not and why, and how old each VM’s last backup is',
  request: {
    query: strict({
      date: z.iso
        .date()
        .optional()
        .openapi({ description: 'UTC day of the nominal times; today if absent.' }),
    }),
  },
  responses: {
    200: { description: 'The report.', content: { 'application/json': { schema: Report } } },
    ...problems(400, 401, 403, 500, 503),
  },
});

export function routeReports(app: OpenAPIHono, runtime: Runtime): void {
  app.openapi(get, async (c) => {
    const caller = callerOf(c, runtime.config);
    const project = confinedTo(caller)?.id;
    const date = c.req.valid('query').date ?? runtime.clock.now().toISOString().slice(0, 10);
    const { runs, vms, due } = await reportOf(date, project, runtime);
    return c.json(
      {
        date,
        runs: runs
          .slice(0, MOST_RUNS)
          .map(({ scheduleId, nominal, pool = null, vmUuid, vmName = '', backupType, state, ...run }) => ({
            scheduleId,
            nominal,
            vm: pool !== null && vmUuid !== undefined ? { pool, uuid: vmUuid, name: vmName } : null,
            pool,
            backupType,
            // A run that was missed never had one.
            jobId: run.jobId ?? null,
            state,
            reason: run.reason ? toldTo(caller, run.reason) : null,
            finishedAt: run.finishedAt ?? null,
          })),
        omitted: Math.max(0, runs.length - MOST_RUNS),
        vms: vms.map(({ pool, uuid, name, last, ageHours }) => ({
          ...{ pool, uuid, name, ageHours },
          lastBackup: last ? { imageId: last.imageId, type: last.type, verifiedAt: last.verifiedAt } : null,
        })),
        due: due.map(({ id, name = null, nextAt = '' }) => ({ scheduleId: id, name, at: nextAt })),
      },
      200,
    );
  });
}
