import { NULL_REF } from '../database/value.ts';
import { XapiFailure } from '../failure.ts';
import { type Boots, bootGuest, writeXenstoreData } from '../guest.ts';
import { diskAttachmentChanged } from '../sm/blktap.ts';
import type { Context, PoolState } from '../state.ts';
import { atHost } from './forwarding.ts';
import { snapshotWithQuiesce } from './quiesce.ts';
import { cloneVm, snapshotVm } from './snapshot.ts';
import { destroyVbd } from './vbd.ts';
import { updateAllowedVbdOperations, usersOf } from './vbd-operations.ts';
import { updateAllowedVdiOperations } from './vdi-operations.ts';
import { updateAllowedVifOperations } from './vif.ts';
import { asTold, refusal, updateAllowedOperations, withVmOperation } from './vm-operations.ts';
import { forgetVtpm } from './vtpm.ts';

export type PowerState = 'Running' | 'Paused' | 'Suspended' | 'Halted';

/** Deletes the VM, its VBDs, VIFs and VTPMs; never its disks. Its children get its parent (xapi_vm.ml). */
async function destroyVm(context: Context, vm: string): Promise<void> {
  const { db, guests } = context.pool;
  db.row('VM', vm);
  await withVmOperation(context, vm, 'destroy', async () => {
    if (db.map('VM', vm, 'other_config').default_template === 'true')
      throw new XapiFailure('VM_CANNOT_DELETE_DEFAULT_TEMPLATE');
    const parent = db.text('VM', vm, 'parent');
    for (const child of db.referrers('VM', 'parent', vm)) db.set('VM', child, 'parent', parent);
    for (const vbd of db.referrers('VBD', 'VM', vm)) {
      db.set('VBD', vbd, 'currently_attached', false);
      destroyVbd(context.pool, vbd);
    }
    for (const vif of db.referrers('VIF', 'VM', vm)) db.destroy('VIF', vif);
    for (const vtpm of db.referrers('VTPM', 'VM', vm)) forgetVtpm(context.pool, vtpm);
    for (const [className, field] of [
      ['VM_metrics', 'metrics'],
      ['VM_guest_metrics', 'guest_metrics'],
    ] as const) {
      const metrics = db.text('VM', vm, field);
      if (db.has(className, metrics)) db.destroy(className, metrics);
    }
    guests.delete(vm);
    db.destroy('VM', vm);
  });
}

/**
 * The one call that reaches a running guest, by way of its host, after the database was changed; paused, only the
 * database is (message_forwarding.ml).
 */
async function setXenstoreData(context: Context, vm: string, value: Record<string, string>): Promise<void> {
  const { db } = context.pool;
  db.set('VM', vm, 'xenstore_data', value);
  if (db.text('VM', vm, 'power_state') !== 'Running') return;
  await atHost(context, db.text('VM', vm, 'resident_on'), async () => writeXenstoreData(context.pool, vm));
}

/**
 * Puts the VM into a power state, with what hangs on it: domain, residence, attached disks. A guest that boots `at once`
 * has long been there; one that comes `from disk` has to be right for it, and takes its time.
 */
export function enterPowerState(
  pool: PoolState,
  vm: string,
  state: PowerState,
  host: string,
  boots: Boots = 'at once',
): void {
  const { db, guests } = pool;
  const hasDomain = state === 'Running' || state === 'Paused';
  db.update('VM', vm, {
    power_state: state,
    resident_on: hasDomain ? host : NULL_REF,
    domid: hasDomain ? String(db.refs('VM').indexOf(vm) + 1) : '-1',
  });
  if (hasDomain && !guests.has(vm)) bootGuest(pool, vm, boots);
  if (!hasDomain) guests.delete(vm);
  for (const vbd of db.referrers('VBD', 'VM', vm)) attachVbd(pool, vbd, hasDomain || state === 'Suspended');
  for (const vif of db.referrers('VIF', 'VM', vm)) {
    db.set('VIF', vif, 'currently_attached', state !== 'Halted');
    updateAllowedVifOperations(pool, vif);
  }
  updateAllowedOperations(pool, vm);
}

/** A disk that hosts have open says so in its `sm_config`, as SM's blktap has it: not one of a suspended VM. */
function attachVbd(pool: PoolState, vbd: string, attached: boolean): void {
  const { db } = pool;
  const empty = db.flag('VBD', vbd, 'empty');
  const disk = db.text('VBD', vbd, 'type') === 'Disk';
  db.set('VBD', vbd, 'currently_attached', attached);
  updateAllowedVbdOperations(pool, vbd);
  const vdi = db.text('VBD', vbd, 'VDI');
  if (empty || !disk || !db.has('VDI', vdi)) return;
  const smConfig = Object.fromEntries(
    Object.entries(db.map('VDI', vdi, 'sm_config')).filter(([key]) => !key.startsWith('host_')),
  );
  const tags = usersOf(db, vdi).flatMap((each) => {
    const host = db.text('VM', db.text('VBD', each, 'VM'), 'resident_on');
    return db.has('host', host) ? [{ key: `host_${host}`, mode: db.text('VBD', each, 'mode') }] : [];
  });
  // Who writes counts for more than who reads.
  tags.sort((one, other) => one.mode.localeCompare(other.mode));
  const byHost = Object.fromEntries(tags.map(({ key, mode }) => [key, mode]));
  db.set('VDI', vdi, 'sm_config', { ...smConfig, ...byHost });
  diskAttachmentChanged(pool, vdi);
  updateAllowedVdiOperations(pool, vdi);
}

function transition(operation: string, state: PowerState) {
  return (context: Context, vm: string) => {
    const { db, hosts } = context.pool;
    db.row('VM', vm);
    return withVmOperation(context, vm, operation, async () => {
      // Whoever halts it takes it out of high availability, before anything else (xapi_vm.ml).
      if (state === 'Halted') db.set('VM', vm, 'ha_always_run', false);
      const resident = db.text('VM', vm, 'resident_on');
      const host = resident === NULL_REF ? db.text('VM', vm, 'affinity') : resident;
      const fallback = hosts[0]?.ref ?? NULL_REF;
      enterPowerState(context.pool, vm, state, db.has('host', host) ? host : fallback);
    });
  };
}

function poolMigrate(context: Context, vm: string, host: string): Promise<void> {
  const { db } = context.pool;
  db.row('VM', vm);
  db.row('host', host);
  return withVmOperation(context, vm, 'pool_migrate', async () => {
    enterPowerState(context.pool, vm, 'Running', host);
  });
}

function assertOperationValid({ pool }: Context, vm: string, operation: string): void {
  pool.db.row('VM', vm);
  const failure = refusal(pool, vm, operation);
  if (failure) throw asTold(pool.settings.release, failure);
}

export const vmCalls = {
  'VM.snapshot': (context: Context, vm: string, newName: string, ignoredVdis?: string[]) =>
    snapshotVm(context, vm, newName, ignoredVdis),
  'VM.snapshot_with_quiesce': (context: Context, vm: string, newName: string) =>
    snapshotWithQuiesce(context, vm, newName),
  'VM.clone': cloneVm,
  'VM.destroy': (context: Context, vm: string) => destroyVm(context, vm),
  'VM.set_xenstore_data': setXenstoreData,
  'VM.assert_operation_valid': assertOperationValid,
  'VM.update_allowed_operations': ({ pool }: Context, vm: string) => updateAllowedOperations(pool, vm),
  'VM.hard_shutdown': transition('hard_shutdown', 'Halted'),
  'VM.shutdown': transition('hard_shutdown', 'Halted'),
  'VM.pause': transition('pause', 'Paused'),
  'VM.unpause': transition('unpause', 'Running'),
  'VM.pool_migrate': poolMigrate,
};
