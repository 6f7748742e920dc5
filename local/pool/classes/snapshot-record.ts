import { randomUUID } from 'node:crypto';
import { databaseText } from '../database/filter.ts';
import { EPOCH, NULL_REF, type Row } from '../database/value.ts';
import type { Context } from '../state.ts';

/** What a copy's VBD will point to. */
export interface CopiedDisk {
  readonly vbd: string;
  readonly vdi: string;
  readonly isNew: boolean;
}

/** A snapshot is of its VM, a clone a VM, or template, of its own. */
export type CopyKind = 'snapshot' | 'clone';

/** The copy's record (copy_vm_record); a snapshot takes the place of its source's parent. */
export function copyRecord({ pool, task }: Context, kind: CopyKind, vm: string, newName: string): string {
  const { db, clock } = pool;
  const source = db.record('VM', vm);
  const {
    default_template: _default,
    xensource_internal: _internal,
    ...otherConfig
  } = db.map('VM', vm, 'other_config');
  const isSnapshot = kind === 'snapshot';
  const isTemplate = isSnapshot || source.is_a_template === true;
  const copy = db.create('VM', {
    ...source,
    uuid: randomUUID(),
    allowed_operations: [],
    current_operations: { [task]: kind },
    blocked_operations: {},
    name_label: newName,
    power_state: 'Halted',
    is_a_template: isTemplate,
    is_default_template: false,
    is_a_snapshot: isSnapshot,
    snapshot_of: isSnapshot ? vm : NULL_REF,
    snapshot_time: isSnapshot ? clock.now() : EPOCH,
    snapshot_info: isSnapshot
      ? {
          'power-state-at-snapshot': String(source.power_state),
          'disk-snapshot-type': 'crash_consistent',
        }
      : {},
    snapshot_metadata: isSnapshot ? metadataOf(source) : '',
    // The same as a record, which a revert reads: beside the data model, so that nobody sees it.
    source: isSnapshot ? source : '',
    transportable_snapshot_id: '',
    parent: isSnapshot ? (source.parent ?? NULL_REF) : NULL_REF,
    resident_on: NULL_REF,
    scheduled_to_be_resident_on: NULL_REF,
    suspend_VDI: NULL_REF,
    domid: '-1',
    domarch: '',
    other_config: isSnapshot ? otherConfig : { ...otherConfig, ...ownIdentity(source) },
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
  if (isSnapshot) db.set('VM', vm, 'parent', copy);
  return copy;
}

/** A clone's interfaces get addresses of their own, and it remembers the template it came from. */
function ownIdentity({ is_a_template, name_label }: Row): Record<string, string> {
  return {
    mac_seed: randomUUID(),
    ...(is_a_template === true && { base_template_name: String(name_label) }),
  };
}

export function copyMetrics(db: Context['pool']['db'], className: string, ref: string): string {
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

/** A VBD of its own for the copy, which owns its disks: `owner` makes tools destroy them with it. */
export function copyVbd({ pool: { db } }: Context, copy: string, { vbd, vdi }: CopiedDisk): string {
  const { uuid: _uuid, ...source } = db.record('VBD', vbd);
  const otherConfig = db.map('VBD', vbd, 'other_config');
  const isDisk = source.type === 'Disk';
  return db.create('VBD', {
    ...source,
    VM: copy,
    VDI: vdi,
    empty: source.empty === true || vdi === NULL_REF,
    // A snapshot's VBDs stay without any.
    allowed_operations: [],
    current_operations: {},
    currently_attached: false,
    status_code: '0',
    status_detail: '',
    runtime_properties: {},
    other_config: isDisk && !('owner' in otherConfig) ? { ...otherConfig, owner: '' } : otherConfig,
    metrics: db.create('VBD_metrics', {}),
  });
}

/** An interface with the address that the source has. */
export function copyVif(db: Context['pool']['db'], copy: string, vif: string): string {
  const { uuid: _uuid, ...record } = db.record('VIF', vif);
  return db.create('VIF', { ...record, VM: copy, currently_attached: false });
}
