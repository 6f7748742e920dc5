import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';
import { diagnose, type QueueDepth } from '../doctor.ts';
import type { Runtime } from '../runtime/executions.ts';
import { callerOf, requireAdmin } from './caller.ts';
import { DiagnosisView } from './doctor-view.ts';
import { problems } from './problem.ts';
import { NoQuery } from './validation.ts';

const get = createRoute({
  method: 'get',
  path: '/doctor',
  operationId: 'getDiagnosis',
  summary: 'Looks at all that a snapshot needs, and says what to do about what is wrong',
  request: { query: NoQuery },
  responses: {
    200: { description: 'Whatever was found.', content: { 'application/json': { schema: DiagnosisView } } },
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
