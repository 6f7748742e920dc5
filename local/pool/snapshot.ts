import { randomUUID } from 'node:crypto';
import { asFailure } from './failure.ts';
import { databaseText } from './filter.ts';
import { withSubtask } from './operation.ts';
import type { Context } from './state.ts';
import { throwIfCancelling } from './task.ts';
import { NULL_REF, type Row } from './value.ts';
import { snapshotVdi, vdiCalls } from './vdi.ts';
import { updateAllowedOperations, withVmOperation } from './vm-operations.ts';

/** What a snapshot's VBD will point to. */
interface Disk {
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

function copyRecord({ pool, task }: Context, vm: string, newName: string): string {
  const { db, clock } = pool;
  const source = db.record('VM', vm);
  const {
    default_template: _default,
    xensource_internal: _internal,
    ...otherConfig
  } = db.map('VM', vm, 'other_config');
  const template = db.create('VM', {
    ...source,
    uuid: randomUUID(),
    allowed_operations: [],
    current_operations: { [task]: 'snapshot' },
    blocked_operations: {},
    name_label: newName,
    power_state: 'Halted',
    is_a_template: true,
    is_default_template: false,
    is_a_snapshot: true,
    snapshot_of: vm,
    snapshot_time: clock.now(),
    snapshot_info: {
      'power-state-at-snapshot': String(source.power_state),
      'disk-snapshot-type': 'crash_consistent',
    },
    snapshot_metadata: metadataOf(source),
    transportable_snapshot_id: '',
    parent: source.parent ?? NULL_REF,
    resident_on: NULL_REF,
    scheduled_to_be_resident_on: NULL_REF,
    suspend_VDI: NULL_REF,
    domid: '-1',
    domarch: '',
    other_config: otherConfig,
    metrics: copyMetrics(pool.db, 'VM_metrics', String(source.metrics)),
    guest_metrics: copyMetrics(pool.db, 'VM_guest_metrics', String(source.guest_metrics)),
    consoles: [],
    blobs: {},
    ha_always_run: false,
    protection_policy: NULL_REF,
    snapshot_schedule: NULL_REF,
    appliance: NULL_REF,
    start_delay: '0',
    shutdown_delay: '0',
    order: '0',
    suspend_SR: NULL_REF,
    version: '0',
    requires_reboot: false,
    pending_guidances: [],
  });
  db.set('VM', vm, 'parent', template);
  return template;
}

function copyMetrics(db: Context['pool']['db'], className: string, ref: string): string {
  if (!db.has(className, ref)) return NULL_REF;
  const { uuid: _uuid, ...record } = db.record(className, ref);
  return db.create(className, record);
}

/** The source's database row as the S-expression that xapi keeps in the snapshot. */
function metadataOf(record: Row): string {
  const quote = (text: string): string => `'${text.replace(/['\\]/g, '\\$&')}'`;
  const fields = Object.entries(record).map(
    ([field, value]) => `(${quote(field)} ${quote(databaseText(value))})`,
  );
  return `(${fields.join(' ')})`;
}

/** A VBD of its own for the template, which owns its disks: `owner` makes tools destroy them with it. */
function copyVbd({ pool: { db } }: Context, template: string, { vbd, vdi }: Disk): void {
  const { uuid: _uuid, ...source } = db.record('VBD', vbd);
  const otherConfig = db.map('VBD', vbd, 'other_config');
  const isDisk = source.type === 'Disk';
  db.create('VBD', {
    ...source,
    VM: template,
    VDI: vdi,
    empty: source.empty === true || vdi === NULL_REF,
    allowed_operations: ['attach'],
    current_operations: {},
    currently_attached: false,
    status_code: '0',
    status_detail: '',
    runtime_properties: {},
    other_config: isDisk && !('owner' in otherConfig) ? { ...otherConfig, owner: '' } : otherConfig,
  });
}
