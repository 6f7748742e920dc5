import type { Job } from '../job.ts';
import { hostNamed } from '../pool/host-away.ts';
import { reconcile } from '../reconcile.ts';
import type { Runtime } from '../runtime/executions.ts';
import { asJobError } from '../translate.ts';
import type { Finding } from './finding.ts';

/** Brings every job to its end that is open although its execution no longer runs. */
export async function settleJobs(runtime: Runtime, dryRun: boolean): Promise<Finding[]> {
  const findings: Finding[] = [];
  for await (const job of runtime.store.jobs.open()) {
    const finding = dryRun ? await look(job, runtime) : await settle(job, runtime);
    if (finding) findings.push(finding);
  }
  return findings;
}

async function look(job: Job, { executions }: Runtime): Promise<Finding | undefined> {
  const execution = await executions.describe(job.id);
  return execution?.status === 'RUNNING' ? undefined : finding(job, 'would', owes([...(job.debts ?? [])]));
}

async function settle(job: Job, runtime: Runtime): Promise<Finding | undefined> {
  try {
    const result = await reconcile(job.id, runtime);
    if (result.state === 'busy') return undefined;
    if (result.state === 'settled') return finding(job, 'removed', 'it had ended and was tidied up');
    if (!result.byHost) return finding(job, 'failed', owes(result.owes));
    const until = result.owes.includes('plugin')
      ? `host ${hostNamed(job)} answers or has left the pool`
      : `what only host ${hostNamed(job)} reaches can be reached again`;
    const what = `it owes ${result.owes.join(', ')} until ${until}; its VM is free`;
    return finding(job, 'left', what);
  } catch (error) {
    return finding(job, 'failed', asJobError(error).message);
  }
}

function owes(debts: readonly string[]): string {
  return debts.length > 0
    ? `it no longer runs and owes ${debts.join(', ')}`
    : 'it no longer runs but has its VM';
}

function finding(job: Job, action: Finding['action'], what: string): Finding {
  return { kind: 'job', pool: job.pool, id: job.id, what, action };
}
