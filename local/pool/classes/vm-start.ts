import { NULL_REF } from '../database/value.ts';
import { XapiFailure } from '../failure.ts';
import type { Context, Host, PoolState } from '../state.ts';
import { assertCanBootHere, assertMemory, freeMemory } from './can-boot.ts';
import { atHost } from './forwarding.ts';
import { assertPlatform } from './platform.ts';
import { sleepUnlessCancelled } from './task.ts';
import { refuseElsewhere } from './vbd-attach.ts';
import { vbdRefusal, withVbdsMarked } from './vbd-operations.ts';
import { enterPowerState } from './vm.ts';
import { GENERIC_BIOS_STRINGS, memoryOverhead } from './vm-create.ts';
import { asTold, withVmOperation } from './vm-operations.ts';

/**
 * `VM.start` and `VM.start_on` (message_forwarding.ml): the domain is there when the call is over, and its power state is
 * Running, which until then is Halted. What the guest makes of it shows later, or never.
 * @throws XapiFailure NO_HOSTS_AVAILABLE where no host could run it, of `start_on` why this one cannot, and
 * HOST_NOT_ENOUGH_FREE_MEMORY where memory is all that is lacking
 */
async function startVm(context: Context, vm: string, paused: boolean, wanted?: string): Promise<void> {
  const { pool } = context;
  const { db } = pool;
  db.row('VM', vm);
  if (wanted !== undefined) db.row('host', wanted);
  await withVmOperation(context, vm, wanted === undefined ? 'start' : 'start_on', async () => {
    const vbds = db.referrers('VBD', 'VM', vm);
    for (const vbd of vbds) {
      const failure = vbdRefusal(pool, vbd, 'attach');
      if (failure) throw asTold(pool.settings.release, failure);
    }
    db.set('VM', vm, 'memory_overhead', String(memoryOverhead(db.row('VM', vm))));
    if (Object.keys(db.map('VM', vm, 'bios_strings')).length === 0)
      db.set('VM', vm, 'bios_strings', { ...GENERIC_BIOS_STRINGS });
    const host = await withVbdsMarked(context, vbds, 'attach', async () => {
      if (wanted !== undefined) assertCanBootHere(pool, vm, wanted, { memory: true });
      const chosen = wanted ?? chooseHost(pool, vm);
      await atHost(context, chosen, (host) => makeDomain(context, vm, host, paused));
      return chosen;
    });
    const [name, uuid] = [db.text('VM', vm, 'name_label'), db.text('VM', vm, 'uuid')];
    const on = `${db.text('host', host, 'name_label')} (uuid: ${db.text('host', host, 'uuid')})`;
    db.create('message', {
      ...{ name: 'VM_STARTED', priority: '5', cls: 'VM', obj_uuid: uuid, timestamp: pool.clock.now() },
      body: `VM '${name}' (uuid: ${uuid}) started on host: ${on}`,
    });
  });
}

/**
 * Takes its time. Meanwhile the host keeps memory for it, and its disks count as attached, although the VM is still
 * Halted (xapi_xenops.ml, start): until that host says otherwise, if it dies before.
 */
async function makeDomain(
  context: Context,
  vm: string,
  { ref: host, power }: Host,
  paused: boolean,
): Promise<void> {
  const { pool } = context;
  const { db } = pool;
  const vbds = db.referrers('VBD', 'VM', vm);
  assertMemory(pool, vm, host);
  assertPlatform(db, vm);
  db.set('VM', vm, 'scheduled_to_be_resident_on', host);
  const attach = (attached: boolean): void => {
    for (const vbd of vbds) db.set('VBD', vbd, 'currently_attached', attached);
  };
  attach(true);
  try {
    await sleepUnlessCancelled(context, pool.settings.vmStartSeconds);
    if (power.signal.aborted) return;
    for (const vbd of vbds.filter((each) => db.has('VDI', db.text('VBD', each, 'VDI'))))
      refuseElsewhere(pool, vbd, host);
  } catch (error) {
    attach(false);
    throw error;
  } finally {
    db.set('VM', vm, 'scheduled_to_be_resident_on', NULL_REF);
  }
  enterPowerState(pool, vm, paused ? 'Paused' : 'Running', host, 'from disk');
  db.set('VM_metrics', db.text('VM', vm, 'metrics'), 'start_time', pool.clock.now());
}

/** Where it has an affinity if that can be, else where most memory is free; memory is looked at last. */
function chooseHost(pool: PoolState, vm: string): string {
  const { db } = pool;
  const able = (memory: boolean): string[] =>
    db.refs('host').filter((host) => canBoot(pool, vm, host, memory));
  const hosts = able(true);
  const affinity = db.text('VM', vm, 'affinity');
  const [best] = (hosts.length > 0 ? hosts : able(false)).sort(
    (one, other) =>
      Number(other === affinity) - Number(one === affinity) ||
      freeMemory(pool, other) - freeMemory(pool, one),
  );
  if (best === undefined) throw new XapiFailure('NO_HOSTS_AVAILABLE');
  return best;
}

function canBoot(pool: PoolState, vm: string, host: string, memory: boolean): boolean {
  try {
    assertCanBootHere(pool, vm, host, { memory });
    return true;
  } catch (error) {
    if (!(error instanceof XapiFailure)) throw error;
    return false;
  }
}

export const vmStartCalls = {
  'VM.start': (context: Context, vm: string, paused: boolean) => startVm(context, vm, paused),
  'VM.start_on': (context: Context, vm: string, host: string, paused: boolean) =>
    startVm(context, vm, paused, host),
  'VM.assert_can_boot_here': ({ pool }: Context, vm: string, host: string) => {
    pool.db.row('VM', vm);
    pool.db.row('host', host);
    assertCanBootHere(pool, vm, host, { memory: true });
  },
  'VM.get_possible_hosts': ({ pool }: Context, vm: string) => {
    pool.db.row('VM', vm);
    return pool.db.refs('host').filter((host) => canBoot(pool, vm, host, false));
  },
};
