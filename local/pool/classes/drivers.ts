import type { PoolState } from '../state.ts';

/** Whether a guest's drivers have told of themselves (xapi_pv_driver_version.ml): a record that says nothing is there before. */
export function hasDrivers({ db }: Pick<PoolState, 'db'>, vm: string): boolean {
  const metrics = db.text('VM', vm, 'guest_metrics');
  return (
    db.has('VM_guest_metrics', metrics) &&
    'major' in db.map('VM_guest_metrics', metrics, 'PV_drivers_version')
  );
}
