import type { VmRecord } from '../../xapi/types.ts';
import { REAL_VMS } from '../pool/vms.ts';
import type { BaseRuntime } from '../runtime/base.ts';

/** A pool that hangs must not take a look at the schedules all of its time. */
const POOL_SECONDS = 25;

/** What is kept of a VM's record, which has some 10 KB: of twenty thousand whole ones a Lambda would have no memory left. */
export type VmFacts = Pick<VmRecord, 'uuid' | 'name_label' | 'tags'>;

function factsOf(records: Readonly<Record<string, VmRecord>>): VmFacts[] {
  return Object.values(records).map(({ uuid, name_label, tags }) => ({ uuid, name_label, tags }));
}

/** The VMs of a pool as one look at the schedules, or a report, has found them. */
export type VmsOf = (pool: string) => Promise<readonly VmFacts[]>;

/**
 * Asks each pool once, however many want to know: one that hangs is waited for once, and none has to tell all its VMs to
 * each of a hundred schedules.
 * @param seconds that each has to answer
 */
export function askOnce({ withSession }: Pick<BaseRuntime, 'withSession'>, seconds = POOL_SECONDS): VmsOf {
  const asked = new Map<string, Promise<readonly VmFacts[]>>();
  return (pool) => {
    const answer =
      asked.get(pool) ??
      withSession(pool, async (xapi) => factsOf(await xapi.call('VM.get_all_records_where', REAL_VMS)), {
        seconds,
      });
    asked.set(pool, answer);
    return answer;
  };
}
