import { randomUUID } from 'node:crypto';
import { databaseText } from './filter.ts';
import type { Disk } from './snapshot.ts';
import type { Context } from './state.ts';
import { NULL_REF, type Row } from './value.ts';

/** The template's record, with the source for its parent's place (copy_vm_record). */
export function copyRecord({ pool, task }: Context, vm: string, newName: string): string {
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
export function copyVbd({ pool: { db } }: Context, template: string, { vbd, vdi }: Disk): void {
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
