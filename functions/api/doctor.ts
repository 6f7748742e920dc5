import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { CHECK_STATUSES } from '../doctor/check.ts';
import { diagnose, type QueueDepth } from '../doctor.ts';
import type { Runtime } from '../runtime/executions.ts';
import { callerOf, requireAdmin } from './caller.ts';
import { problems } from './problem.ts';
import { NoQuery } from './validation.ts';

const Status = z.enum(CHECK_STATUSES);

const Report = z
  .object({
    status: Status.openapi({ description: 'That of the worst check.' }),
    checks: z.array(
      z.object({
        area: z.string().openapi({ example: 'pool demo' }),
        what: z.string().openapi({ example: 'plugin on xen1' }),
        status: Status,
        found: z.string(),
        advice: z.string().nullable().openapi({ description: 'What to do.' }),
        error: z.string().nullable().openapi({ example: 'PluginMissing' }),
      }),
    ),
  })
  .openapi('DoctorReport');

const get = createRoute({
  method: 'get',
  path: '/doctor',
  operationId: 'getDiagnosis',
  summary: 'Looks at all that a snapshot needs, and says what to do about what is wrong',
  request: { query: NoQuery },
  responses: {
    200: { description: 'Whatever was found.', content: { 'application/json': { schema: Report } } },
    ...problems(400, 401, 403, 500),
  },
});

export function routeDoctor(app: OpenAPIHono, runtime: Runtime, queueDepth: QueueDepth | undefined): void {
  app.openapi(get, async (c) => {
    requireAdmin(callerOf(c, runtime.config));
    const { status, checks } = await diagnose(runtime, queueDepth);
    return c.json({ status, checks: [...checks] }, 200);
  });
}
