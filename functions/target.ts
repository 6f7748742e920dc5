import { poolConfig } from './config.ts';
import { XensnapError } from './errors.ts';
import { findVm, type Inspection, inspectVm } from './pool/inspect.ts';
import type { Runtime } from './runtime/executions.ts';
import type { SnapshotRequest } from './snapshot-request.ts';
import { translateOfPool } from './translate.ts';
import { DEFAULT_QUIESCE } from './words.ts';

/** A VM that can be imaged, and the pool it is in. */
export interface Target extends Inspection {
  readonly pool: string;
  /** The xapi calls that it took to find and inspect the VM, login and logout included. */
  readonly xapiCalls: number;
}

type Wish = Pick<
  SnapshotRequest,
  'vm' | 'pool' | 'quiesce' | 'maxSizeGib' | 'format' | 'device' | 'flatten' | 'allows'
>;

/** Looks for the VM in the pool that is named, else in every pool. */
export async function findTarget(wish: Wish, runtime: Runtime): Promise<Target> {
  const pools = wish.pool === undefined ? runtime.config.pools : [poolConfig(runtime.config, wish.pool)];
  const needs = {
    quiesce: wish.quiesce ?? DEFAULT_QUIESCE,
    ...(wish.maxSizeGib && { maxSizeGib: wish.maxSizeGib }),
    ...(wish.format && { format: wish.format }),
    ...(wish.device !== undefined && { device: wish.device }),
    ...(wish.flatten && { flatten: true }),
  };
  const found: Target[] = [];
  for (const { name, driver } of pools) {
    if (driver === 'libvirt')
      if (pools.length === 1)
        throw new XensnapError(
          'DriverNotImplemented',
          `Pool "${name}" has the driver libvirt, for which snapshots are not implemented.`,
        );
      else continue;
    try {
      found.push(
        await runtime.withSession(name, async (xapi) => {
          const inspection = await inspectVm(xapi, await findVm(xapi, wish.vm, wish.allows), needs);
          return { ...inspection, pool: name, xapiCalls: xapi.callCount + 1 };
        }),
      );
    } catch (error) {
      const translated = translateOfPool(name, error);
      if (translated.name !== 'VmNotFound' || pools.length === 1) throw translated;
    }
  }
  const [target, ...others] = found;
  if (!target) throw new XensnapError('VmNotFound', `There is no VM "${wish.vm}" in any pool.`);
  if (others.length === 0) return target;
  const candidates = found.map(({ pool, vm }) => ({ uuid: vm.uuid, name: vm.name_label, pool }));
  throw new XensnapError(
    'VmNameAmbiguous',
    `Several pools have a VM "${wish.vm}": ${found.map(({ pool }) => pool).join(', ')}. Name one with "pool".`,
    { details: { candidates } },
  );
}
