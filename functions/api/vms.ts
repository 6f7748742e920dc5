import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { POWER_STATES } from '../../xapi/types.ts';
import { mapBounded } from '../bounded.ts';
import { type PoolVm, vmsOfPool } from '../pool-vms.ts';
import type { Runtime } from '../runtime/executions.ts';
import { callerOf, mayTouch } from './caller.ts';
import { askEveryPool } from './every-pool.ts';
import { problems } from './problem.ts';
import { hearsAll } from './told-to.ts';
import { NoQuery } from './validation.ts';

/** Leases read at a time. */
const READS_AT_ONCE = 16;

const VmView = z
  .object({
    uuid: z.string(),
    name: z.string(),
    pool: z.string(),
    powerState: z.enum(POWER_STATES),
    host: z.string().nullable().openapi({
      description: 'Name of the host on which it runs; with hostUuid, null for callers of a project.',
    }),
    hostUuid: z.string().nullable(),
    rootDiskBytes: z
      .int()
      .nullable()
      .openapi({ description: 'Virtual size of the disk that it boots from.' }),
    rootDevice: z.string().nullable().openapi({
      description:
        'Position of that disk; null where there is none, or where only `device` can say which it is.',
      example: '0',
    }),
    job: z.uuid().nullable().openapi({ description: 'The job that has the VM.' }),
  })
  .openapi('Vm');

type VmView = z.infer<typeof VmView>;

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

function vmView({ vm, rootDisk, host }: PoolVm, pool: string): Omit<VmView, 'job'> {
  return {
    uuid: vm.uuid,
    name: vm.name_label,
    pool,
    powerState: vm.power_state,
    host: host?.name_label ?? null,
    hostUuid: host?.uuid ?? null,
    rootDiskBytes: rootDisk?.virtualBytes ?? null,
    rootDevice: rootDisk?.device ?? null,
  };
}
