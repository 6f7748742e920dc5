import { shorten } from '../../../glance/shorten.ts';
import type { VmMetricsRecord } from '../../../xapi/types.ts';
import type { SnapshotJob } from '../../job.ts';
import { type PoolVm, vmsOfPool } from '../../pool/vms.ts';
import type { Runtime } from '../../runtime/executions.ts';
import { type Caller, mayTouch } from '../caller.ts';
import { askEveryPool } from '../every-pool.ts';
import { Fault } from '../faults.ts';

/** A VM as a server of the Compute and Rackspace APIs. */
export interface Server extends PoolVm {
  /** The id that clients know: the VM's UUID, or Nova's where Nova made the VM. */
  readonly id: string;
  readonly pool: string;
  readonly metrics?: VmMetricsRecord;
}

/** Where Nova's XenAPI driver has put its instance's UUID (vm_utils.create_vm). */
const NOVA_UUID = 'nova_uuid';

/** The servers of the caller, the newest first, as Nova lists them. Five calls to each pool. */
export async function serversOf(runtime: Runtime, caller: Caller): Promise<Server[]> {
  const found = await askEveryPool(runtime, async (xapi, pool) => {
    const [vms, metrics] = await Promise.all([vmsOfPool(xapi), xapi.call('VM_metrics.get_all_records')]);
    return vms.map((each) => {
      const ofVm = metrics[each.vm.metrics];
      return { ...each, pool: pool.name, ...(ofVm && { metrics: ofVm }) };
    });
  });
  const idOf = serverIds(found);
  return found
    .filter(({ vm }) => mayTouch(caller, vm))
    .map((each) => ({ ...each, id: idOf(each) }))
    .sort((a, b) => createdAt(b).getTime() - createdAt(a).getTime() || (a.id < b.id ? -1 : 1));
}

/** The server of that id. A VM's own UUID always names it. @throws Fault 404 */
export async function findServer(runtime: Runtime, caller: Caller, id: string): Promise<Server> {
  const servers = await serversOf(runtime, caller);
  const wanted = id.toLowerCase();
  const server =
    servers.find((each) => each.id.toLowerCase() === wanted) ?? servers.find(({ vm }) => vm.uuid === wanted);
  if (server) return server;
  throw serverNotFound(id);
}

/** Nova's words. */
export function serverNotFound(id: string): Fault {
  return new Fault(404, `Instance ${shorten(id, 60)} could not be found.`);
}

/** A copy of a VM has its `other_config` too: an id that several VMs have names none of them. */
function serverIds(found: readonly PoolVm[]): (vm: PoolVm) => string {
  const novaIds = Map.groupBy(found, ({ vm }) => vm.other_config[NOVA_UUID]);
  const uuids = new Set(found.map(({ vm }) => vm.uuid));
  return ({ vm }) => {
    const novaId = vm.other_config[NOVA_UUID];
    return novaId && novaIds.get(novaId)?.length === 1 && !uuids.has(novaId) ? novaId : vm.uuid;
  };
}

/** 1970-01-01 where xapi does not know. */
export function createdAt({ metrics }: Server): Date {
  return metrics?.install_time ?? new Date(0);
}

/** The job that has the server's VM. */
export async function jobOn({ pool, vm }: Server, { store }: Runtime): Promise<SnapshotJob | undefined> {
  const jobId = await store.leases.holderOfVm(pool, vm.uuid);
  return jobId === undefined ? undefined : store.jobs.snapshot(jobId);
}
