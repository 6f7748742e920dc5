import { XapiFailure } from '../failure.ts';
import { assertAttached } from '../sm/storage.ts';
import type { Context, PoolState } from '../state.ts';
import { untilAllowed } from './vm-operations.ts';

/** What SM's file-based SRs can do with a disk; the first of them also while it is attached. */
const LIVE_OPERATIONS = ['snapshot', 'clone', 'mirror', 'enable_cbt', 'disable_cbt'];
const OPERATIONS = [
  ...LIVE_OPERATIONS,
  'copy',
  'destroy',
  'forget',
  'generate_config',
  'resize',
  'update',
  'force_unlock',
];

function refusal({ db }: PoolState, vdi: string, operation: string): XapiFailure | undefined {
  const [current] = Object.entries(db.map('VDI', vdi, 'current_operations'));
  if (current) return new XapiFailure('OTHER_OPERATION_IN_PROGRESS', 'VDI', vdi, current[1], current[0]);
  const isLive = LIVE_OPERATIONS.includes(operation);
  const vbds = db.referrers('VBD', 'VDI', vdi);
  const inUse = vbds.some(
    (vbd) => db.flag('VBD', vbd, 'currently_attached') || db.flag('VBD', vbd, 'reserved'),
  );
  if (inUse && !isLive) return new XapiFailure('VDI_IN_USE', vdi, operation);
  const [busy] = vbds.flatMap((vbd) => Object.entries(db.map('VBD', vbd, 'current_operations')));
  if (busy) return new XapiFailure('OTHER_OPERATION_IN_PROGRESS', 'VDI', vdi, busy[1], busy[0]);
  if (isLive) return undefined;
  const sr = db.text('VDI', vdi, 'SR');
  if (db.text('SR', sr, 'type') === 'udev') return new XapiFailure('VDI_IS_A_PHYSICAL_DEVICE', vdi);
  return db.flag('SR', sr, 'is_tools_sr') ? new XapiFailure('SR_OPERATION_NOT_SUPPORTED', sr) : undefined;
}

export function updateAllowedVdiOperations(pool: PoolState, vdi: string): void {
  const allowed = pool.db.flag('VDI', vdi, 'managed')
    ? OPERATIONS.filter((operation) => !refusal(pool, vdi, operation))
    : [];
  pool.db.set('VDI', vdi, 'allowed_operations', allowed);
}

/** Marks the disk while `work` runs, waiting for its turn as `withVmOperation` does. */
export async function withVdiOperation<T>(
  context: Context,
  vdi: string,
  operation: string,
  work: () => Promise<T>,
): Promise<T> {
  const { db, released } = context.pool;
  await untilAllowed(context, 'VDI', vdi, () => refusal(context.pool, vdi, operation));
  db.set('VDI', vdi, 'current_operations', { [context.task]: operation });
  updateAllowedVdiOperations(context.pool, vdi);
  try {
    assertAttached(context.pool, db.text('VDI', vdi, 'SR'));
    if (!db.flag('VDI', vdi, 'managed')) throw new XapiFailure('VDI_NOT_MANAGED', vdi);
    return await work();
  } finally {
    if (db.has('VDI', vdi)) {
      db.set('VDI', vdi, 'current_operations', {});
      updateAllowedVdiOperations(context.pool, vdi);
    }
    released.emit(`VDI/${vdi}`);
  }
}
