import { isMap, NULL_REF, type Row } from '../database/value.ts';
import { asFailure, XapiFailure } from '../failure.ts';
import type { Context } from '../state.ts';
import { withSubtask } from './operation.ts';
import { copyDisks } from './snapshot.ts';
import { type CopiedDisk, copyMetrics, copyVbd, copyVif } from './snapshot-record.ts';
import { destroyVbd } from './vbd.ts';
import { updateAllowedVbdOperations } from './vbd-operations.ts';
import { vdiCalls } from './vdi.ts';
import { enterPowerState } from './vm.ts';
import { updateAllowedOperations, withVmOperation } from './vm-operations.ts';
import { copyVtpm, forgetVtpm } from './vtpm.ts';

/** What a VM keeps when it is reverted (xapi_vm_snapshot.ml, do_not_copy); all else is as it was at the snapshot. */
const KEPT = new Set([
  ...['uuid', 'suspend_VDI', 'power_state', 'parent', 'current_operations', 'allowed_operations', 'metrics'],
  ...[
    'guest_metrics',
    'resident_on',
    'domid',
    'protection_policy',
    'snapshot_schedule',
    'affinity',
    'groups',
  ],
  ...[
    'scheduled_to_be_resident_on',
    'snapshots',
    'tags',
    'consoles',
    'VBDs',
    'VIFs',
    'VGPUs',
    'VUSBs',
    'VTPMs',
  ],
  ...['attached_PCIs', 'is_snapshot_from_vmpp', 'children'],
]);

/** Passed on as they are; every other failure half way is VM_REVERT_FAILED. */
const TELLING = ['SR_BACKEND_FAILURE_44', 'SR_BACKEND_FAILURE_109', 'VDI_INCOMPATIBLE_TYPE'];

/**
 * `VM.revert`: a VM that is not halted is shut down hard, its fields are what they were at the snapshot (`other_config`
 * and `xenstore_data` too), its disks are destroyed and clones of the snapshot's stand in their place, under UUIDs of
 * their own. Disks that the snapshot does not have are left in their SR, attached to nothing.
 */
export async function revertVm(context: Context, snapshot: string): Promise<void> {
  const { pool } = context;
  const { db, clock } = pool;
  const named = db.text('VM', snapshot, 'snapshot_of');
  await withVmOperation(context, snapshot, 'revert', async () => {
    const vm = db.has('VM', named) ? named : recreate(context, snapshot, named);
    await withVmOperation(context, vm, 'reverting', async () => {
      const host = db.text('VM', vm, 'resident_on');
      if (db.text('VM', vm, 'power_state') !== 'Halted') enterPowerState(pool, vm, 'Halted', host);
      db.update('VM', vm, { ...fieldsAtSnapshot(db, snapshot), ha_always_run: false });
      try {
        await revertDisks(context, vm, snapshot);
        for (const vif of db.referrers('VIF', 'VM', vm)) db.destroy('VIF', vif);
        for (const vif of db.referrers('VIF', 'VM', snapshot)) copyVif(db, vm, vif);
        for (const vtpm of db.referrers('VTPM', 'VM', vm)) forgetVtpm(pool, vtpm);
        for (const vtpm of db.referrers('VTPM', 'VM', snapshot)) copyVtpm(pool, vm, vtpm);
        revertMetrics(db, vm, snapshot);
        db.set('VM', vm, 'parent', snapshot);
      } catch (error) {
        const failure = asFailure(error);
        throw TELLING.includes(failure.code) ? failure : new XapiFailure('VM_REVERT_FAILED', snapshot, vm);
      }
    });
    const [name, uuid] = [db.text('VM', vm, 'name_label'), db.text('VM', vm, 'uuid')];
    const of = `${db.text('VM', snapshot, 'name_label')} (uuid ${db.text('VM', snapshot, 'uuid')})`;
    db.create('message', {
      name: 'VM_SNAPSHOT_REVERTED',
      priority: '5',
      cls: 'VM',
      obj_uuid: uuid,
      timestamp: clock.now(),
      body: `VM '${name}' (uuid: ${uuid}) reverted to snapshot: ${of}`,
    });
  });
}

function fieldsAtSnapshot(db: Context['pool']['db'], snapshot: string): Row {
  const source = db.get('VM', snapshot, 'source');
  return Object.fromEntries(
    Object.entries(isMap(source) ? source : {}).filter(([field]) => !KEPT.has(field)),
  );
}

/** A VM that is no more comes back under its UUID, and all its snapshots are its own again. */
function recreate({ pool }: Context, snapshot: string, gone: string): string {
  const { db } = pool;
  const source = db.get('VM', snapshot, 'source');
  if (!isMap(source)) throw new XapiFailure('VM_REVERT_FAILED', snapshot, gone);
  const fields = { power_state: 'Halted', resident_on: NULL_REF, domid: '-1', parent: NULL_REF };
  const nothing = { metrics: NULL_REF, guest_metrics: NULL_REF, current_operations: {} };
  const vm = db.create('VM', { ...source, ...fields, ...nothing });
  for (const each of db.referrers('VM', 'snapshot_of', gone)) db.set('VM', each, 'snapshot_of', vm);
  updateAllowedOperations(pool, vm);
  return vm;
}

async function revertDisks(context: Context, vm: string, snapshot: string): Promise<void> {
  const { pool } = context;
  const { db } = pool;
  const isDisk = (vbd: string): boolean => db.text('VBD', vbd, 'type') === 'Disk';
  const ofSnapshot = db.referrers('VBD', 'VM', snapshot);
  const sources = new Set(
    ofSnapshot.filter(isDisk).map((vbd) => db.text('VDI', db.text('VBD', vbd, 'VDI'), 'snapshot_of')),
  );
  const replaced: string[] = [];
  for (const vbd of db.referrers('VBD', 'VM', vm)) {
    const vdi = db.text('VBD', vbd, 'VDI');
    if (isDisk(vbd) && sources.has(vdi)) replaced.push(vdi);
    destroyVbd(pool, vbd);
  }
  // First what goes, so that there is room for what comes.
  for (const vdi of replaced) {
    await withSubtask(context, 'VDI.destroy', [vdi], async (subtask) => {
      await vdiCalls['VDI.destroy'](subtask, vdi);
      return '';
    });
  }
  const disks: CopiedDisk[] = await copyDisks(context, 'clone', ofSnapshot);
  for (const disk of disks) {
    if (disk.isNew) pointSnapshotsTo(db, db.text('VBD', disk.vbd, 'VDI'), disk.vdi);
    updateAllowedVbdOperations(pool, copyVbd(context, vm, disk));
  }
}

/** All snapshots of the disk that was are now those of its clone. */
function pointSnapshotsTo(db: Context['pool']['db'], snapshot: string, clone: string): void {
  const before = db.text('VDI', snapshot, 'snapshot_of');
  for (const each of db.referrers('VDI', 'snapshot_of', before)) db.set('VDI', each, 'snapshot_of', clone);
}

function revertMetrics(db: Context['pool']['db'], vm: string, snapshot: string): void {
  for (const [className, field] of [
    ['VM_metrics', 'metrics'],
    ['VM_guest_metrics', 'guest_metrics'],
  ] as const) {
    const before = db.text('VM', vm, field);
    if (db.has(className, before)) db.destroy(className, before);
    db.set('VM', vm, field, copyMetrics(db, className, db.text('VM', snapshot, field)));
  }
}
