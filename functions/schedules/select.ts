import type { VmRecord } from '../../xapi/types.ts';
import { mapBounded } from '../bounded.ts';
import type { Config, PoolConfig } from '../config.ts';
import type { Reason } from '../errors.ts';
import { globMatcher } from '../glob.ts';
import { nameOfVm } from '../pool/vm-name.ts';
import { allowedVms } from '../projects.ts';
import type { Runtime } from '../runtime/executions.ts';
import { asJobError, translateOfPool } from '../translate.ts';
import type { VmsOf } from './pool-vms.ts';
import type { Schedule, ScheduledVm, Selector } from './schedule.ts';

/** Pools that are asked at a time: all records of a pool's VMs are in memory then. */
const POOLS_AT_ONCE = 16;

/** The VMs that a selector names now, and the pools that could not be asked. */
export interface Selected {
  readonly vms: readonly ScheduledVm[];
  readonly unasked: readonly { readonly pool?: string; readonly reason: Reason }[];
}

/** Asks the pools for the VMs of a schedule. One VM is known without asking. */
export async function selectVms(
  schedule: Schedule,
  { config }: Pick<Runtime, 'config'>,
  vmsOf: VmsOf,
): Promise<Selected> {
  const { vm, selector = {} } = schedule;
  if (vm) return { vms: [vm], unasked: [] };
  const allows = allowedVms(schedule.project, config);
  const fits = selects(selector);
  const answers = await mapBounded(
    poolsOf(selector, config),
    POOLS_AT_ONCE,
    async (pool): Promise<Selected> => {
      try {
        const all = await vmsOf(pool.name);
        // Rights first: what a caller wrote is compared with nothing that is not the caller's.
        const fitting = all.filter((vm) => allows(vm) && fits(vm));
        const vms = fitting.map((vm) => ({ pool: pool.name, uuid: vm.uuid, name: nameOfVm(vm) }));
        return { vms, unasked: [] };
      } catch (error) {
        return {
          vms: [],
          unasked: [{ pool: pool.name, reason: asJobError(translateOfPool(pool.name, error)) }],
        };
      }
    },
  );
  return {
    vms: answers
      .flatMap(({ vms }) => vms)
      .sort((a, b) => a.name.localeCompare(b.name) || (a.uuid < b.uuid ? -1 : 1)),
    unasked: answers.flatMap(({ unasked }) => unasked),
  };
}

/** The pools in which a selector looks. */
export function poolsOf({ pool: name }: Selector, { pools }: Config): PoolConfig[] {
  return pools.filter(({ name: of, driver }) => driver === 'xenapi' && (name === undefined || of === name));
}

/**
 * Tells whether a VM fits all that the selector names.
 * @throws BadRequest for a pattern on record that is too long or has too many `*`
 */
export function selects({
  tag,
  namePattern,
}: Selector): (vm: Pick<VmRecord, 'name_label' | 'tags'>) => boolean {
  const fits = namePattern === undefined ? () => true : globMatcher(namePattern);
  return (vm) => (tag === undefined || vm.tags.includes(tag)) && fits(vm.name_label);
}
