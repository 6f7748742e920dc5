import { XapiFailure } from '../failure.ts';
import type { Context, PoolState } from '../state.ts';
import { hasDrivers } from './drivers.ts';
import { updateAllowedVdiOperations } from './vdi-operations.ts';

const OPERATIONS = ['attach', 'eject', 'unplug', 'unplug_force', 'insert', 'plug', 'pause', 'unpause'];
const PLUGGING = ['plug', 'unplug', 'unplug_force'];

/** Why the operation may not start now, in xapi's order of reasons (xapi_vbd_helpers.ml); undefined if it may. */
export function vbdRefusal({ db }: PoolState, vbd: string, operation: string): XapiFailure | undefined {
  const fail = (code: string, ...params: string[]) => new XapiFailure(code, ...params);
  const [current] = Object.entries(db.map('VBD', vbd, 'current_operations'));
  if (current) return fail('OTHER_OPERATION_IN_PROGRESS', 'VBD', vbd, current[1], current[0]);
  const isUnplug = operation === 'unplug' || operation === 'unplug_force';
  if (isUnplug && !db.flag('VBD', vbd, 'unpluggable')) return fail('VBD_NOT_UNPLUGGABLE', vbd);
  const isCd = db.text('VBD', vbd, 'type') === 'CD';
  const isMediaChange = operation === 'insert' || operation === 'eject';
  if (isMediaChange && !isCd) return fail('VBD_NOT_REMOVABLE_MEDIA', vbd);
  const isEmpty = db.flag('VBD', vbd, 'empty');
  if (operation === 'eject' && isEmpty) return fail('VBD_IS_EMPTY', vbd);
  if (operation === 'insert' && !isEmpty) return fail('VBD_NOT_EMPTY', vbd);
  const vm = db.text('VBD', vbd, 'VM');
  const power = db.text('VM', vm, 'power_state');
  const attached = db.flag('VBD', vbd, 'currently_attached');
  const isPause = operation === 'pause' || operation === 'unpause';
  if (power !== 'Running' && (PLUGGING.includes(operation) || (isPause && power !== 'Paused')))
    return fail('VM_BAD_POWER_STATE', vm, 'running', power.toLowerCase());
  if (operation === 'plug' && attached) return fail('DEVICE_ALREADY_ATTACHED', vbd);
  if (isUnplug && !attached) return fail('DEVICE_ALREADY_DETACHED', vbd);
  const isDom0 = db.flag('VM', vm, 'is_control_domain');
  if (PLUGGING.includes(operation) && !isDom0) {
    const [ending] = Object.values(db.map('VM', vm, 'current_operations')).filter((each) =>
      ['clean_shutdown', 'hard_shutdown', 'suspend', 'pause'].includes(each),
    );
    if (ending) return fail('OPERATION_NOT_ALLOWED', `Current operation on VM:${vm} is ${ending}`);
    if (!hasDrivers({ db }, vm)) return fail('VM_MISSING_PV_DRIVERS', vm);
    if (isCd)
      return fail(
        'OPERATION_NOT_ALLOWED',
        'HVM CDROMs cannot be hotplugged/unplugged, only inserted or ejected',
      );
  }
  if (isEmpty) return undefined;
  const vdi = db.text('VBD', vbd, 'VDI');
  if (!db.flag('VDI', vdi, 'managed')) return fail('VDI_NOT_MANAGED', vbd);
  if (!['attach', 'plug', 'insert'].includes(operation)) return undefined;
  const [busy] = Object.entries(db.map('VDI', vdi, 'current_operations')).filter(
    ([, each]) => each !== 'mirror' && each !== 'copy',
  );
  if (busy) return fail('OTHER_OPERATION_IN_PROGRESS', 'VDI', vdi, busy[1], busy[0]);
  if (attached) return undefined;
  const writes = db.text('VBD', vbd, 'mode') === 'RW';
  // Control domains are trusted to know what they share.
  const others = usersOf(db, vdi).filter(
    (each) => each !== vbd && !db.flag('VM', db.text('VBD', each, 'VM'), 'is_control_domain'),
  );
  const isWritten = others.some((each) => db.text('VBD', each, 'mode') === 'RW');
  if (!db.flag('VDI', vdi, 'sharable') && !isDom0 && (isWritten || (writes && others.length > 0)))
    return fail('VDI_IN_USE', vdi);
  return writes && db.flag('VDI', vdi, 'read_only') ? fail('VDI_READONLY', vdi) : undefined;
}

/** VBDs that have the disk attached. */
export function usersOf(db: PoolState['db'], vdi: string): string[] {
  return db.referrers('VBD', 'VDI', vdi).filter((vbd) => db.flag('VBD', vbd, 'currently_attached'));
}

export function updateAllowedVbdOperations(pool: PoolState, vbd: string): void {
  const allowed = OPERATIONS.filter((operation) => !vbdRefusal(pool, vbd, operation));
  pool.db.set('VBD', vbd, 'allowed_operations', allowed);
}

/** Marks VBDs while `work` runs, which their disks' operations wait for (message_forwarding.ml, with_vbds_marked). */
export async function withVbdsMarked<T>(
  { pool, task }: Context,
  vbds: readonly string[],
  operation: string,
  work: () => Promise<T>,
): Promise<T> {
  const { db, released } = pool;
  const mark = (operations: Record<string, string>): void => {
    for (const vbd of vbds.filter((each) => db.has('VBD', each))) {
      db.set('VBD', vbd, 'current_operations', operations);
      updateAllowedVbdOperations(pool, vbd);
      const vdi = db.text('VBD', vbd, 'VDI');
      if (db.has('VDI', vdi)) updateAllowedVdiOperations(pool, vdi);
      released.emit(`VBD/${vbd}`);
      released.emit(`VDI/${vdi}`);
    }
  };
  mark({ [task]: operation });
  try {
    return await work();
  } finally {
    mark({});
  }
}
