import { XapiFailure } from '../failure.ts';
import type { Context, PoolState } from '../state.ts';
import { updateAllowedOperations, withVmOperation } from './vm-operations.ts';

/** `VTPM.create`: a VM has one at most, and each has a secret of the pool's, where its contents are (xapi_vtpm.ml). */
async function createVtpm(context: Context, vm: string, isUnique: boolean): Promise<string> {
  const { pool } = context;
  const { db } = pool;
  db.row('VM', vm);
  return withVmOperation(context, vm, 'create_vtpm', async () => {
    const [allPools = ''] = db.refs('pool');
    if (db.map('pool', allPools, 'restrictions').restrict_vtpm !== 'false')
      throw new XapiFailure('FEATURE_RESTRICTED', 'restrict_vtpm');
    const others = db.referrers('VTPM', 'VM', vm);
    if (others.length > 0) throw new XapiFailure('VTPM_MAX_AMOUNT_REACHED', String(others.length));
    return newVtpm(pool, vm, { isUnique, contents: '' });
  });
}

/** Adds one without a look at anything. */
export function newVtpm(
  { db }: PoolState,
  vm: string,
  { isUnique, contents }: { isUnique: boolean; contents: string },
): string {
  return db.create('VTPM', {
    VM: vm,
    persistence_backend: 'xapi',
    is_unique: isUnique,
    // Not in the data model that others see.
    contents: db.create('secret', { value: contents }),
  });
}

/** A copy's own: what a unique one holds is not copied. */
export function copyVtpm(pool: PoolState, copy: string, vtpm: string): void {
  const { db } = pool;
  const isUnique = db.flag('VTPM', vtpm, 'is_unique');
  const secret = db.text('VTPM', vtpm, 'contents');
  newVtpm(pool, copy, { isUnique, contents: isUnique ? '' : db.text('secret', secret, 'value') });
}

/** Its secret goes with it. */
export function forgetVtpm({ db }: PoolState, vtpm: string): void {
  const secret = db.text('VTPM', vtpm, 'contents');
  if (db.has('secret', secret)) db.destroy('secret', secret);
  db.destroy('VTPM', vtpm);
}

function destroyVtpm({ pool }: Context, vtpm: string): void {
  const vm = pool.db.text('VTPM', vtpm, 'VM');
  const power = pool.db.text('VM', vm, 'power_state');
  if (power !== 'Halted' && power !== 'Suspended')
    throw new XapiFailure('VM_BAD_POWER_STATE', vm, 'halted, suspended', power.toLowerCase());
  forgetVtpm(pool, vtpm);
  updateAllowedOperations(pool, vm);
}

export const vtpmCalls = { 'VTPM.create': createVtpm, 'VTPM.destroy': destroyVtpm };
