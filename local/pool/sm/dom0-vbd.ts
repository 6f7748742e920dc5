import { updateAllowedVdiOperations } from '../classes/vdi-operations.ts';
import { XapiFailure } from '../failure.ts';
import type { Host, PoolState } from '../state.ts';
import { assertAttached } from './storage.ts';

/**
 * Attaches a disk to a host's control domain to be read there, as xapi does for an export (sm_fs_ops.ml): it is in use
 * meanwhile, and cannot be destroyed. Returns what takes it away.
 * @throws XapiFailure VDI_IN_USE when somebody may write to it
 */
export function attachToControlDomain(pool: PoolState, host: Host, vdi: string): () => void {
  const { db } = pool;
  assertAttached(pool, db.text('VDI', vdi, 'SR'));
  if (!db.flag('VDI', vdi, 'managed')) throw new XapiFailure('VDI_NOT_MANAGED', vdi);
  const isWritten = db
    .referrers('VBD', 'VDI', vdi)
    .some((vbd) => db.flag('VBD', vbd, 'currently_attached') && db.text('VBD', vbd, 'mode') === 'RW');
  if (isWritten) throw new XapiFailure('VDI_IN_USE', vdi, 'attach');
  const vbd = db.create('VBD', {
    VM: db.text('host', host.ref, 'control_domain'),
    VDI: vdi,
    userdevice: String(attachedToControlDomains(pool).length),
    type: 'Disk',
    mode: 'RO',
    currently_attached: true,
  });
  updateAllowedVdiOperations(pool, vdi);
  return () => {
    if (db.has('VBD', vbd)) db.destroy('VBD', vbd);
    if (db.has('VDI', vdi)) updateAllowedVdiOperations(pool, vdi);
    pool.released.emit(`VDI/${vdi}`);
  };
}

/** References of the disks that control domains have attached. */
export function attachedToControlDomains({ db, hosts }: PoolState): string[] {
  return hosts
    .flatMap(({ ref }) => db.referrers('VBD', 'VM', db.text('host', ref, 'control_domain')))
    .map((vbd) => db.text('VBD', vbd, 'VDI'));
}
