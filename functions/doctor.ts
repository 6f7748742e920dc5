import { randomUUID } from 'node:crypto';
import { CHECK_STATUSES, type Check, type CheckStatus, check } from './doctor/check.ts';
import { checkGlance } from './doctor/glance.ts';
import { checkPool } from './doctor/pool.ts';
import type { BaseRuntime } from './runtime/base.ts';

/** What is in the host queue. */
export type QueueDepth = () => Promise<{ readonly waiting: number; readonly inFlight: number }>;

export interface DoctorReport {
  /** The status of the worst check. */
  readonly status: CheckStatus;
  readonly checks: readonly Check[];
}

type Deps = Pick<BaseRuntime, 'config' | 'store' | 'glance' | 'keystone' | 'clock' | 'log' | 'withSession'>;

/**
 * Looks at all that a snapshot needs, changes nothing that stays, and says what to do about what is wrong.
 * @param queueDepth left out where the queue can't be reached from
 */
export async function diagnose(runtime: Deps, queueDepth?: QueueDepth): Promise<DoctorReport> {
  const areas = await Promise.all([
    checkService(runtime, queueDepth),
    checkGlance(runtime),
    ...runtime.config.pools.map((pool) => checkPool(pool, runtime)),
  ]);
  const checks = areas.flat();
  const worst = CHECK_STATUSES.findLast((status) => checks.some((each) => each.status === status));
  return { status: worst ?? 'ok', checks };
}

function checkService({ store, clock, log }: Deps, queueDepth: QueueDepth | undefined): Promise<Check[]> {
  const table = check(log, 'service', 'table', async () => {
    const key = `doctor/${randomUUID()}`;
    const me = randomUUID();
    const holder = await store.leases.takeKey(key, me, clock.now(), 60);
    await store.leases.releaseKey(key, me);
    if (holder === me) return { found: 'Writes and reads.' };
    return { status: 'failed', found: 'It does not read what was written.', advice: 'Look at the table.' };
  });
  const queue =
    queueDepth &&
    check(log, 'service', 'queue', async () => {
      const { waiting, inFlight } = await queueDepth();
      return { found: `Answers: ${waiting} waiting, ${inFlight} being looked at.` };
    });
  return Promise.all([table, ...(queue ? [queue] : [])]);
}
