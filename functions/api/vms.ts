import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { mapBounded } from '../bounded.ts';
import { vmsOfPool } from '../pool/vms.ts';
import type { Runtime } from '../runtime/executions.ts';
import { callerOf, mayTouch } from './caller.ts';
import { askEveryPool } from './every-pool.ts';
import { problems } from './problem.ts';
import { MOST_ANSWER_BYTES, withRoom } from './room.ts';
import { hearsAll } from './told-to.ts';
import { markerField, strict } from './validation.ts';
import { byName, markerOfVm, vmPlaceOf } from './vm-place.ts';
import { VmView, vmView } from './vm-view.ts';

/** Leases read at a time. */
const READS_AT_ONCE = 16;
const NO_JOB = '00000000-0000-0000-0000-000000000000';

const list = createRoute({
  method: 'get',
  path: '/vms',
  operationId: 'listVms',
  summary: 'Lists the VMs of every pool',
  request: { query: strict(markerField) },
  responses: {
    200: {
      description:
        'By name: as many as an answer has room for, which are some ten thousand. Go on with marker=next until next is null.',
      content: {
        'application/json': { schema: z.object({ vms: z.array(VmView), next: z.string().nullable() }) },
      },
    },
    ...problems(400, 401, 403, 500, 501, 503),
  },
});

export function routeVms(app: OpenAPIHono, runtime: Runtime): void {
  app.openapi(list, async (c) => {
    const caller = callerOf(c, runtime.config);
    const { marker } = c.req.valid('query');
    const after = marker === undefined ? undefined : vmPlaceOf(marker);
    // No more is kept of a pool's records than is told: twenty thousand of them are some hundreds of megabytes.
    const found = await askEveryPool(runtime, async (xapi, pool) =>
      (await vmsOfPool(xapi))
        .filter(({ vm }) => mayTouch(caller, vm))
        .map((each) => ({
          ...vmView(each, pool.name),
          ...(!hearsAll(caller) && { host: null, hostUuid: null }),
          // As long as any.
          job: NO_JOB as string | null,
        })),
    );
    const rest = found.filter((vm) => !after || byName(vm, after) > 0).sort(byName);
    const page = withRoom(rest, MOST_ANSWER_BYTES);
    const vms = await mapBounded(page, READS_AT_ONCE, async (vm) => ({
      ...vm,
      job: (await runtime.store.leases.holderOfVm(vm.pool, vm.uuid)) ?? null,
    }));
    const last = page.at(-1);
    return c.json({ vms, next: last && page.length < rest.length ? markerOfVm(last) : null }, 200);
  });
}
