import { XapiFailure } from '../failure.ts';
import type { Context, PoolState } from '../state.ts';
import { sleepUnlessCancelled } from './task.ts';
import { enterPowerState } from './vm.ts';
import { withVmOperation } from './vm-operations.ts';

/**
 * Asks the guest, which says that it has heard and halts in its own time: nobody takes back what it was asked, neither who
 * cancels nor xapi, which gives up after 20 minutes (xenops_server.ml, VM_shutdown_domain).
 * @throws XapiFailure VM_SHUTDOWN_TIMEOUT
 */
function cleanShutdown(context: Context, vm: string): Promise<void> {
  const { pool } = context;
  const { db } = pool;
  db.row('VM', vm);
  return withVmOperation(context, vm, 'clean_shutdown', async () => {
    db.set('VM', vm, 'ha_always_run', false);
    haltInTime(pool, vm).catch(() => undefined);
    for (let waited = 0; waited < SHUTDOWN_SECONDS; waited += LOOK_SECONDS) {
      await sleepUnlessCancelled(context, LOOK_SECONDS);
      if (db.text('VM', vm, 'power_state') === 'Halted') return;
    }
    throw new XapiFailure('VM_SHUTDOWN_TIMEOUT', vm, `${SHUTDOWN_SECONDS}.`);
  });
}

const SHUTDOWN_SECONDS = 1200;
const LOOK_SECONDS = 0.5;

async function haltInTime(pool: PoolState, vm: string): Promise<void> {
  const { db, guests, clock, settings, stopped } = pool;
  const guest = guests.get(vm);
  const own = Number(db.get('VM', vm, 'shutdownSeconds') || settings.guestShutdownSeconds);
  await clock.sleep(own, stopped);
  if (guests.get(vm) === guest) enterPowerState(pool, vm, 'Halted', db.text('VM', vm, 'resident_on'));
}

export const vmShutdownCalls = { 'VM.clean_shutdown': cleanShutdown };
