import { mapBounded } from '../bounded.ts';
import type { Job } from '../job.ts';
import { hostNamed } from '../pool/host-away.ts';
import { isStarting, reconcile } from '../reconcile.ts';
import type { Runtime } from '../runtime/executions.ts';
import { asJobError } from '../translate.ts';
import type { Finding } from './finding.ts';

const POOLS_AT_ONCE = 8;
const JOBS_AT_ONCE = 4;

/**
 * Brings every job to its end that is open although its execution no longer runs, or never did. A pool that hangs holds
 * up its own jobs, not those of others.
 */
export async function settleJobs(runtime: Runtime, dryRun: boolean): Promise<Finding[]> {
  const jobs: Job[] = [];
  for await (const job of runtime.store.jobs.open()) jobs.push(job);
  const found = await mapBounded(
    [...Map.groupBy(jobs, ({ pool }) => pool).values()],
    POOLS_AT_ONCE,
    (ofPool) =>
      mapBounded(ofPool, JOBS_AT_ONCE, async (job) => {
        try {
          return (await (dryRun ? look(job, runtime) : settle(job, runtime))) ?? [];
        } catch (error) {
          return finding(job, 'failed', asJobError(error).message);
        }
      }),
  );
  return found.flat(2);
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
