import { asFailure } from './failure.ts';
import { withSubtask } from './operation.ts';
import { copyRecord, copyVbd } from './snapshot-record.ts';
import type { Context } from './state.ts';
import { throwIfCancelling } from './task.ts';
import { NULL_REF } from './value.ts';
import { vdiCalls } from './vdi.ts';
import { snapshotVdi } from './vdi-snapshot.ts';
import { updateAllowedOperations, withVmOperation } from './vm-operations.ts';

/** What a snapshot's VBD will point to. */
export interface Disk {
  readonly vbd: string;
  readonly vdi: string;
  readonly isNew: boolean;
}

/**
 * `VM.snapshot`: the disks one after another, so that they are not of one moment, then the template's record
 * (xapi_vm_clone.ml). Disks already taken are destroyed when a later one fails.
 */
export async function snapshotVm(
  context: Context,
  vm: string,
  newName: string,
  ignoredVdis: readonly string[] = [],
): Promise<string> {
  const { db } = context.pool;
  db.row('VM', vm);
  const template = await withVmOperation(context, vm, 'snapshot', () =>
    cloneVm(context, vm, newName, ignoredVdis),
  );
  const [name, uuid] = [db.text('VM', vm, 'name_label'), db.text('VM', vm, 'uuid')];
  createVmMessage(context, vm, `VM '${name}' (uuid: ${uuid}) snapshotted, snapshot name: ${newName}`);
  return template;
}

function createVmMessage({ pool: { db, clock } }: Context, vm: string, body: string): void {
  db.create('message', {
    name: 'VM_SNAPSHOTTED',
    priority: '5',
    cls: 'VM',
    obj_uuid: db.text('VM', vm, 'uuid'),
    timestamp: clock.now(),
    body,
  });
}

async function cloneVm(
  context: Context,
  vm: string,
  newName: string,
  ignored: readonly string[],
): Promise<string> {
  const { db } = context.pool;
  const vbds = db.referrers('VBD', 'VM', vm).filter((vbd) => !ignored.includes(db.text('VBD', vbd, 'VDI')));
  const disks = await snapshotDisks(context, vbds);
  try {
    const template = copyRecord(context, vm, newName);
    for (const disk of disks) copyVbd(context, template, disk);
    for (const vif of db.referrers('VIF', 'VM', vm)) {
      const { uuid: _uuid, ...record } = db.record('VIF', vif);
      db.create('VIF', { ...record, VM: template, currently_attached: false });
    }
    db.set('VM', template, 'current_operations', {});
    updateAllowedOperations(context.pool, template);
    return template;
  } catch (error) {
    await destroyDisks(context, disks);
    throw error;
  }
}

async function snapshotDisks(context: Context, vbds: readonly string[]): Promise<Disk[]> {
  const { db } = context.pool;
  const bytes = (vbd: string): number => {
    const vdi = db.text('VBD', vbd, 'VDI');
    return db.has('VDI', vdi) ? Number(db.get('VDI', vdi, 'virtual_size')) : 0;
  };
  const total = vbds.reduce((sum, vbd) => sum + bytes(vbd), 0);
  const disks: Disk[] = [];
  let done = 0;
  for (const vbd of vbds) {
    try {
      throwIfCancelling(context);
      disks.push(await snapshotDisk(context, vbd));
    } catch (error) {
      await destroyDisks(context, disks);
      throw asFailure(error);
    }
    done += bytes(vbd);
    if (total > 0 && db.has('task', context.task)) db.set('task', context.task, 'progress', done / total);
  }
  return disks;
}

/** An empty drive stays empty, a CD stays the same CD. */
async function snapshotDisk(context: Context, vbd: string): Promise<Disk> {
  const { db } = context.pool;
  if (db.flag('VBD', vbd, 'empty')) return { vbd, vdi: NULL_REF, isNew: false };
  const vdi = db.text('VBD', vbd, 'VDI');
  if (db.text('VBD', vbd, 'type') === 'CD') return { vbd, vdi, isNew: false };
  const taken = await withSubtask(context, 'VDI.snapshot', [vdi, {}], (subtask) => snapshotVdi(subtask, vdi));
  return { vbd, vdi: taken, isNew: true };
}

async function destroyDisks(context: Context, disks: readonly Disk[]): Promise<void> {
  for (const { vdi, isNew } of disks) {
    if (!isNew) continue;
    await withSubtask(context, 'VDI.destroy', [vdi], async (subtask) => {
      await vdiCalls['VDI.destroy'](subtask, vdi);
      return '';
    }).catch(() => undefined);
  }
}
