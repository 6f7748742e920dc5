import type { PoolConfig } from '../config.ts';
import { isNamed, XensnapError } from '../errors.ts';
import { chooseSr } from '../pool/choose-sr.ts';
import { allowedToRestore } from '../projects.ts';
import type { Runtime } from '../runtime/executions.ts';
import type { Schedule } from './schedule.ts';

/**
 * Refuses an SR for tests that none of the pools has in which the schedule's VMs can be: the first test, which would find
 * that out, is a day to a month away. A pool that cannot be asked refuses nothing.
 * @throws BadRequest, StorageUnsupported as the first of the pools says it
 */
export async function refuseUnusableTestSr(schedule: Schedule, runtime: Runtime): Promise<void> {
  const asked = schedule.restoreTest?.sr;
  if (asked === undefined) return;
  const allowed = allowedToRestore(schedule.project, runtime.config)?.srs;
  const refusals: XensnapError[] = [];
  for (const { name } of poolsOf(schedule, runtime)) {
    try {
      await runtime.withSession(name, (xapi) => chooseSr(xapi, { asked, allowed }));
      return;
    } catch (error) {
      if (!isNamed(error, 'BadRequest') && !isNamed(error, 'StorageUnsupported')) return;
      refusals.push(error as XensnapError);
    }
  }
  const [refusal] = refusals;
  if (!refusal) return;
  throw isNamed(refusal, 'BadRequest')
    ? new XensnapError('BadRequest', `restoreTest.${refusal.message}`, { cause: refusal })
    : refusal;
}

function poolsOf({ vm, selector }: Schedule, { config: { pools } }: Runtime): readonly PoolConfig[] {
  const one = vm?.pool ?? selector?.pool;
  return pools.filter(({ name, driver }) => driver === 'xenapi' && (one === undefined || name === one));
}
