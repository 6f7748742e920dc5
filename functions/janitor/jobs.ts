import { mapBounded } from '../bounded.ts';
import type { Job } from '../job.ts';
import { hostNamed } from '../pool/host-away.ts';
import { isStarting, reconcile } from '../reconcile.ts';
import type { Runtime } from '../runtime/executions.ts';
import { asJobError } from '../translate.ts';
import type { Finding } from './finding.ts';

const POOLS_AT_ONCE = 8;
const JOBS_AT_ONCE = 4;

/** What a round has for them, in the clock's seconds: the pools are looked through in any case. */
const SECONDS = 300;

/**
 * Brings jobs to their end that are open although their execution no longer runs, or never did. A pool that hangs holds up
 * its own jobs, not those of others. The pools and the jobs that a round does not come to, the next one begins with.
 * @param jobs those that are open and may have no execution
 */
export async function settleJobs(
  runtime: Runtime,
  jobs: readonly Job[],
  dryRun: boolean,
): Promise<Finding[]> {
  const { store, clock } = runtime;
  const until = clock.now().getTime() + SECONDS * 1000;
  const { places, pool: first } = await store.janitorReports.places();
  const stopped: Record<string, string> = {};
  const begun = new Set<string>();
  const pools = inTurn([...Map.groupBy(jobs, ({ pool }) => pool)], ([pool]) => pool, first);
  const found = await mapBounded(pools, POOLS_AT_ONCE, ([pool, ofPool]) =>
    mapBounded(inTurn(ofPool, placeOf, places[pool]), JOBS_AT_ONCE, async (job) => {
      if (clock.now().getTime() > until) {
        stopped[pool] ??= placeOf(job);
        return [];
      }
      begun.add(pool);
      try {
        return (await (dryRun ? look(job, runtime) : settle(job, runtime))) ?? [];
      } catch (error) {
        return finding(job, 'failed', asJobError(error).message);
      }
    }),
  );
  const [next] = pools.find(([pool]) => !begun.has(pool)) ?? [];
  if (!dryRun) await store.janitorReports.keepPlaces({ places: stopped, pool: next });
  return found.flat(2);
}

/** Where a job stands among all; it may be gone when that is asked. */
function placeOf({ createdAt, id }: Job): string {
  return `${createdAt} ${id}`;
}

/** All of them in the order of their places, those from a place on first. */
function inTurn<T>(all: readonly T[], place: (one: T) => string, first = ''): readonly T[] {
  const sorted = all.toSorted((a, b) => (place(a) < place(b) ? -1 : 1));
  const later = sorted.filter((one) => place(one) >= first);
  return [...later, ...sorted.filter((one) => place(one) < first)];
}

async function look(listed: Job, runtime: Runtime): Promise<Finding | undefined> {
  const execution = await runtime.executions.describe(listed);
  if (execution?.status === 'RUNNING' || execution?.status === 'PENDING_REDRIVE') return undefined;
  // It may have come to its end since it was listed.
  const job = await runtime.store.jobs.get(listed.id);
  if (job?.open === undefined || (!execution && isStarting(job, runtime))) return undefined;
  return finding(job, 'would', owes([...(job.debts ?? [])]));
}

async function settle(job: Job, runtime: Runtime): Promise<Finding | undefined> {
  const result = await reconcile(job.id, runtime);
  if (result.state === 'busy' || result.state === 'over') return undefined;
  if (result.state === 'settled') return finding(job, 'removed', 'it had ended and was tidied up');
  if (!result.byHost) return finding(job, 'failed', owes(result.owes));
  const until = result.owes.includes('plugin')
    ? `host ${hostNamed(job)} answers or has left the pool`
    : `what only host ${hostNamed(job)} reaches can be reached again`;
  const what = `it owes ${result.owes.join(', ')} until ${until}; its VM is free`;
  return finding(job, 'left', what);
}

function owes(debts: readonly string[]): string {
  return debts.length > 0
    ? `it no longer runs and owes ${debts.join(', ')}`
    : 'it no longer runs but has its VM';
}

function finding(job: Job, action: Finding['action'], what: string): Finding {
  return { kind: 'job', pool: job.pool, id: job.id, what, action };
}
