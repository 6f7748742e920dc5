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
    unpluggable: true,
    currently_attached: true,
  });
  readersOf(pool).set(vbd, host.ref);
  updateAllowedVdiOperations(pool, vdi);
  return () => {
    // xapi was restarted meanwhile, and no longer knows that it has to take it away.
    if (!readersOf(pool).delete(vbd)) return;
    if (db.has('VBD', vbd)) db.destroy('VBD', vbd);
    if (db.has('VDI', vdi)) updateAllowedVdiOperations(pool, vdi);
    pool.released.emit(`VDI/${vdi}`);
  };
}

/** By the pool: the VBDs that an export reads at this moment, with the host whose xapi does. */
const readers = new WeakMap<PoolState, Map<string, string>>();

function readersOf(pool: PoolState): Map<string, string> {
  const known = readers.get(pool) ?? new Map<string, string>();
  readers.set(pool, known);
  return known;
}

/** Whether an export reads from the VBD: its device is open then, and the domain does not let go of it. */
export function isRead(pool: PoolState, vbd: string): boolean {
  return readersOf(pool).has(vbd);
}

/** xapi is restarted on a host: nobody reads any more what it exported, and it stays attached. */
export function abandonExports(pool: PoolState, { ref }: Host): void {
  for (const [vbd, host] of readersOf(pool)) if (host === ref) readersOf(pool).delete(vbd);
}

/** References of the disks that control domains have attached. */
export function attachedToControlDomains({ db, hosts }: PoolState): string[] {
  return hosts
    .flatMap(({ ref }) => db.referrers('VBD', 'VM', db.text('host', ref, 'control_domain')))
    .map((vbd) => db.text('VBD', vbd, 'VDI'));
}
