import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { mapBounded } from '../bounded.ts';
import { vmsOfPool } from '../pool/vms.ts';
import type { Runtime } from '../runtime/executions.ts';
import { callerOf, mayTouch } from './caller.ts';
import { askEveryPool } from './every-pool.ts';
import { problems } from './problem.ts';
import { hearsAll } from './told-to.ts';
import { NoQuery } from './validation.ts';
import { VmView, vmView } from './vm-view.ts';

/** Leases read at a time. */
const READS_AT_ONCE = 16;

const list = createRoute({
  method: 'get',
  path: '/vms',
  operationId: 'listVms',
  summary: 'Lists the VMs of every pool',
  request: { query: NoQuery },
  responses: {
    200: {
      description: 'By name.',
      content: { 'application/json': { schema: z.object({ vms: z.array(VmView) }) } },
    },
    ...problems(400, 401, 403, 500, 501, 503),
  },
});

export function routeVms(app: OpenAPIHono, runtime: Runtime): void {
  app.openapi(list, async (c) => {
    const caller = callerOf(c, runtime.config);
    const found = await askEveryPool(runtime, async (xapi, pool) =>
      (await vmsOfPool(xapi)).map((each) => ({ ...each, pool: pool.name })),
    );
    const allowed = found.filter(({ vm }) => mayTouch(caller, vm));
    const vms = await mapBounded(allowed, READS_AT_ONCE, async (each) => ({
      ...vmView(each, each.pool),
      ...(!hearsAll(caller) && { host: null, hostUuid: null }),
      job: (await runtime.store.leases.holderOfVm(each.pool, each.vm.uuid)) ?? null,
    }));
    vms.sort((a, b) => a.name.localeCompare(b.name) || a.uuid.localeCompare(b.uuid));
    return c.json({ vms }, 200);
  });
}
