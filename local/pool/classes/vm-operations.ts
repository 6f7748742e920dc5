import { once } from 'node:events';
import { hasCome, isRemoved, type Release } from '../database/release.ts';
import { XapiFailure } from '../failure.ts';
import type { Context, PoolState } from '../state.ts';
import { hasDrivers } from './drivers.ts';
import { setCancellable, throwIfCancelling } from './task.ts';

const LONGEST_WAIT_SECONDS = 7200;
const ALL_STATES = ['Halted', 'Paused', 'Suspended', 'Running'];

/** The power states in which an operation makes sense (xapi_vm_lifecycle.ml). */
const POWER_STATES: Record<string, string[]> = {
  assert_operation_valid: ALL_STATES,
  call_plugin: ['Running'],
  checkpoint: ['Paused', 'Suspended', 'Running'],
  clean_reboot: ['Running'],
  clean_shutdown: ['Running'],
  clone: ['Halted'],
  copy: ['Halted'],
  create_template: ['Halted', 'Suspended'],
  create_vtpm: ['Halted'],
  destroy: ['Halted', 'Suspended'],
  export: ['Halted', 'Suspended'],
  hard_reboot: ['Paused', 'Running'],
  hard_shutdown: ['Paused', 'Suspended', 'Running'],
  make_into_template: ['Halted'],
  metadata_export: ALL_STATES,
  migrate_send: ['Halted', 'Suspended', 'Running'],
  pause: ['Running'],
  pool_migrate: ['Running'],
  power_state_reset: ALL_STATES,
  provision: ['Halted'],
  resume: ['Suspended'],
  revert: ALL_STATES,
  snapshot: ALL_STATES,
  snapshot_with_quiesce: ['Running'],
  start: ['Halted'],
  start_on: ['Halted'],
  suspend: ['Running'],
  unpause: ['Paused'],
  update_allowed_operations: ALL_STATES,
};

const OF_SNAPSHOTS = ['revert', 'clone', 'copy', 'export', 'destroy', 'hard_shutdown', 'metadata_export'];
const OF_TEMPLATES = ['clone', 'copy', 'export', 'metadata_export', 'provision'];
const OF_DRIVERS = ['clean_shutdown', 'clean_reboot', 'suspend', 'checkpoint', 'pool_migrate'];
const OF_CONTROL_DOMAINS = ['metadata_export', 'start', 'start_on'];

function mayRunBeside(operation: string, current: string[]): boolean {
  const within = (set: string[]): boolean =>
    set.includes(operation) && current.every((each) => set.includes(each));
  if (within(['clone', 'copy', 'export']) || within(['snapshot', 'checkpoint'])) return true;
  if (operation === 'hard_shutdown') return !current.includes('hard_shutdown');
  // The guest's provider takes its snapshot while the quiesced one is under way.
  return operation === 'snapshot' && current.length === 1 && current[0] === 'snapshot_with_quiesce';
}

/** Why the operation may not start now, in xapi's order of reasons; undefined if it may. */
export function refusal({ db, settings }: PoolState, vm: string, operation: string): XapiFailure | undefined {
  const fail = (code: string, ...params: string[]) => new XapiFailure(code, ...params);
  const blocked = db.map('VM', vm, 'blocked_operations')[operation];
  if (blocked !== undefined) return fail('OPERATION_BLOCKED', vm, blocked);
  const power = db.text('VM', vm, 'power_state');
  const states = operation === 'reverting' ? ALL_STATES : (POWER_STATES[operation] ?? []);
  if (!states.includes(power))
    return fail('VM_BAD_POWER_STATE', vm, states.join(', ').toLowerCase(), power.toLowerCase());
  const current = Object.entries(db.map('VM', vm, 'current_operations'));
  const operations = current.map(([, each]) => each);
  if (current.length > 0 && !mayRunBeside(operation, operations)) {
    const refs = current.map(([task]) => task);
    const several = (items: string[]): string => (items.length === 1 ? items.join() : `{${items.join(',')}}`);
    return fail('OTHER_OPERATION_IN_PROGRESS', 'VM', vm, several(operations), several(refs));
  }
  const isSnapshot = db.flag('VM', vm, 'is_a_snapshot');
  if (isSnapshot && !OF_SNAPSHOTS.includes(operation)) return fail('VM_IS_SNAPSHOT', vm, operation);
  if (!isSnapshot && db.flag('VM', vm, 'is_a_template')) {
    const destroyable = operation === 'destroy' && !db.flag('VM', vm, 'is_default_template');
    if (!destroyable && !OF_TEMPLATES.includes(operation)) return fail('VM_IS_TEMPLATE', vm, operation);
  }
  if (operation === 'provision' && !db.flag('VM', vm, 'is_a_template'))
    return fail('PROVISION_ONLY_ALLOWED_ON_TEMPLATE');
  if (operation === 'revert' && !isSnapshot) return fail('REVERT_ONLY_ALLOWED_ON_SNAPSHOT');
  if (db.flag('VM', vm, 'is_control_domain')) {
    if (operation === 'destroy')
      return fail('OPERATION_NOT_ALLOWED', 'This operation is not allowed on dom0');
    if (!OF_CONTROL_DOMAINS.includes(operation))
      return fail('OPERATION_NOT_ALLOWED', 'This operation is not allowed on a control domain');
  }
  if (power === 'Running' && OF_DRIVERS.includes(operation) && !hasDrivers({ db }, vm))
    return fail('VM_LACKS_FEATURE', vm);
  if (operation === 'snapshot_with_quiesce' && isRemoved(settings.release, 'VM.snapshot_with_quiesce'))
    return fail('VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED', vm);
  return undefined;
}

export function updateAllowedOperations(pool: PoolState, vm: string): void {
  const known = Object.keys(POWER_STATES).filter(
    (operation) => operation !== 'create_vtpm' || hasCome(pool.settings.release, 'VTPM.create'),
  );
  const allowed = known.filter((operation) => !refusal(pool, vm, operation));
  pool.db.set('VM', vm, 'allowed_operations', allowed);
}

/**
 * Marks the VM with the operation while `work` runs. Where another operation is in the way it waits and tries again,
 * 1 to 20 seconds at a time, for up to two hours, cancellable meanwhile: callers see slowness, seldom the error
 * (helpers.ml, Repeat_with_uniform_backoff).
 * @throws XapiFailure why the operation is not allowed
 */
export async function withVmOperation<T>(
  context: Context,
  vm: string,
  operation: string,
  work: () => Promise<T>,
): Promise<T> {
  const { pool, task } = context;
  await untilAllowed(context, 'VM', vm, () => refusal(pool, vm, operation));
  pool.db.set('VM', vm, 'current_operations', {
    ...pool.db.map('VM', vm, 'current_operations'),
    [task]: operation,
  });
  updateAllowedOperations(pool, vm);
  try {
    return await work();
  } finally {
    if (pool.db.has('VM', vm)) {
      const { [task]: _ended, ...rest } = pool.db.map('VM', vm, 'current_operations');
      pool.db.set('VM', vm, 'current_operations', rest);
      updateAllowedOperations(pool, vm);
    }
    pool.released.emit(`VM/${vm}`);
  }
}

/** The failure in the words of the release: earlier ones leave out who is at work, and name a VM's operation at its class. */
export function asTold(release: Release, failure: XapiFailure): XapiFailure {
  if (failure.code !== 'OTHER_OPERATION_IN_PROGRESS' || release.namesOperations) return failure;
  const [className = '', ref = '', operation = ''] = failure.params;
  if (className === 'VM') return new XapiFailure(failure.code, `VM.${operation}`, ref);
  return new XapiFailure(failure.code, className, ref, ...(className === 'VDI' ? [] : [operation]));
}

/** Waits while `check` answers that another operation is in progress; throws what else it answers. */
export async function untilAllowed(
  context: Context,
  className: 'VM' | 'VDI' | 'VBD',
  ref: string,
  check: () => XapiFailure | undefined,
): Promise<void> {
  const { clock, released, settings, stopped } = context.pool;
  setCancellable(context);
  const began = clock.now().getTime();
  for (;;) {
    throwIfCancelling(context);
    const failure = check();
    if (!failure) return;
    const waited = (clock.now().getTime() - began) / 1000;
    const told = asTold(settings.release, failure);
    if (failure.code !== 'OTHER_OPERATION_IN_PROGRESS' || waited > LONGEST_WAIT_SECONDS) throw told;
    const isWoken = settings.release.namesOperations || told.params.length === 2;
    const done = new AbortController();
    const signal = AbortSignal.any([stopped, done.signal]);
    const quiet = (): undefined => undefined;
    await Promise.race([
      clock.sleep(1 + 19 * Math.random(), signal).catch(quiet),
      ...(isWoken ? [once(released, `${className}/${ref}`, { signal }).catch(quiet)] : []),
    ]);
    done.abort();
    stopped.throwIfAborted();
  }
}
