import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Session } from '../../xapi/session.ts';
import type { VbdRecord, VmRecord } from '../../xapi/types.ts';
import type { PoolConfig } from '../config.ts';
import type { Runtime } from '../runtime/executions.ts';
import { mapBounded } from './bounded.ts';
import { callerOf, confinedTo, ownsVm } from './caller.ts';
import { askEveryPool } from './every-pool.ts';
import { problems } from './problem.ts';

/** Leases read at a time. */
const READS_AT_ONCE = 16;

const VmView = z
  .object({
    uuid: z.string(),
    name: z.string(),
    pool: z.string(),
    powerState: z.enum(['Halted', 'Paused', 'Running', 'Suspended']),
    host: z.string().nullable().openapi({ description: 'Name of the host on which it runs.' }),
    hostUuid: z.string().nullable(),
    rootDiskBytes: z
      .int()
      .nullable()
      .openapi({ description: 'Virtual size of the disk at position 0; null where there is none.' }),
    job: z.uuid().nullable().openapi({ description: 'The job that has the VM.' }),
  })
  .openapi('Vm');

type VmView = z.infer<typeof VmView>;

const list = createRoute({
  method: 'get',
  path: '/vms',
  operationId: 'listVms',
  summary: 'Lists the VMs of every pool',
  responses: {
    200: {
      description: 'By name.',
      content: { 'application/json': { schema: z.object({ vms: z.array(VmView) }) } },
    },
    ...problems(401, 403, 500, 501, 503),
  },
});

export function routeVms(app: OpenAPIHono, runtime: Runtime): void {
  app.openapi(list, async (c) => {
    const confines = confinedTo(callerOf(c, runtime.config));
    const found = await askEveryPool(runtime, (xapi, pool) =>
      vmsOfPool(xapi, pool, (vm) => !confines || ownsVm(confines, vm)),
    );
    const vms = await mapBounded(found, READS_AT_ONCE, async (vm) => ({
      ...vm,
      job: (await runtime.store.leases.holderOfVm(vm.pool, vm.uuid)) ?? null,
    }));
    vms.sort((a, b) => a.name.localeCompare(b.name) || a.uuid.localeCompare(b.uuid));
    return c.json({ vms }, 200);
  });
}

const REAL_VMS =
  'field "is_a_template" = "false" and field "is_a_snapshot" = "false" and field "is_control_domain" = "false"';
const ROOT_VBDS = 'field "userdevice" = "0" and field "type" = "Disk"';
/** The disks of snapshots would be most of the answer in a pool with daily backups. */
const LIVE_VDIS = 'field "managed" = "true" and field "is_a_snapshot" = "false"';

/** Four calls, however many VMs there are. */
async function vmsOfPool(
  xapi: Session,
  pool: PoolConfig,
  allows: (vm: VmRecord) => boolean,
): Promise<Omit<VmView, 'job'>[]> {
  const [vms, vbds, vdis, hosts] = await Promise.all([
    xapi.call('VM.get_all_records_where', REAL_VMS),
    xapi.call('VBD.get_all_records_where', ROOT_VBDS),
    xapi.call('VDI.get_all_records_where', LIVE_VDIS),
    xapi.call('host.get_all_records'),
  ]);
  const roots = new Map<string, VbdRecord>(Object.values<VbdRecord>(vbds).map((vbd) => [vbd.VM, vbd]));
  const allowed = Object.entries<VmRecord>(vms).filter(([, vm]) => allows(vm));
  return allowed.map(([vmRef, vm]) => {
    const vbd = roots.get(vmRef);
    const vdi = vbd && vdis[vbd.VDI];
    const host = hosts[vm.resident_on];
    return {
      uuid: vm.uuid,
      name: vm.name_label,
      pool: pool.name,
      powerState: vm.power_state,
      host: host?.name_label ?? null,
      hostUuid: host?.uuid ?? null,
      rootDiskBytes: vdi ? Number(vdi.virtual_size) : null,
    };
  });
}
