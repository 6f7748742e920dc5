import { mapBounded } from './bounded.ts';
import { lookForBackups } from './janitor/backups.ts';
import { listRunning, sweepExecutions } from './janitor/executions.ts';
import type { Finding, JanitorReport } from './janitor/finding.ts';
import { sweepImages } from './janitor/images.ts';
import { settleJobs } from './janitor/jobs.ts';
import { sweepPool } from './janitor/pool.ts';
import { alone } from './janitor/round.ts';
import { sweepQuotas, sweepSlots } from './janitor/slots.ts';
import { keepingWoken, type Woken } from './queue/wake.ts';
import { lambdaRuntime, type Runtime } from './runtime/executions.ts';

/** Every 15 minutes, independent of any next run. What it found, the table keeps. */
export async function handler(): Promise<Woken & { findings: number }> {
  const { runtime, woken } = keepingWoken(lambdaRuntime());
  const { findings } = await tidy(runtime);
  return { ...woken, findings: findings.length };
}

/**
 * Finishes jobs that nobody finishes, stops executions of none, then looks through pools, slots and Glance for what closed jobs of this
 * installation left, and for backups that are no longer there. Removes only what is provably ours; what is doubtful is
 * reported. A dry run changes nothing. The table keeps the report until the next round.
 */
export async function tidy(
  runtime: Runtime,
  { dryRun = false, actor }: { dryRun?: boolean; actor?: string | undefined } = {},
): Promise<JanitorReport> {
  const { clock, log, metrics } = runtime;
  const startedAt = clock.now().toISOString();
  const findings: Finding[] = [...(await sweepJobs(runtime, dryRun)), ...(await sweepPools(runtime, dryRun))];
  if (!dryRun) await sweepQuotas(runtime);
  findings.push(...(await sweepImages(runtime, dryRun)), ...(await lookForBackups(runtime, dryRun)));
  for (const finding of findings) log.warn('janitor', { ...finding });
  const real = findings.filter(({ action }) => action !== 'would');
  if (real.length > 0) metrics.count('JanitorFindings', real.length);
  const who = actor !== undefined && { actor };
  const report = { dryRun, ...who, startedAt, finishedAt: clock.now().toISOString(), findings };
  await runtime.store.janitorReports.keep(report);
  return report;
}

/**
 * Jobs without an execution, and executions without a job. Both are listed, by pages of many, since a night has twenty
 * thousand of each and AWS answers ten questions about one execution a second. The jobs come first: one that is new then
 * is looked for by its name.
 */
async function sweepJobs(runtime: Runtime, dryRun: boolean): Promise<readonly Finding[]> {
  // Without the open jobs there is no round: it is tried again.
  const jobs = await Array.fromAsync(runtime.store.jobs.open());
  const open = new Set(jobs.map(({ id }) => id));
  const running = new Set<string>();
  const strays = await alone({ kind: 'execution', id: 'running' }, async () => {
    const listed = await listRunning(runtime);
    for (const { id } of listed) running.add(id);
    return sweepExecutions(
      listed.filter(({ id }) => !open.has(id)),
      runtime,
      dryRun,
    );
  });
  const settled = await settleJobs(
    runtime,
    // One that has told its outcome runs for a moment only.
    jobs.filter(({ id, finishedAt }) => finishedAt !== undefined || !running.has(id)),
    dryRun,
  );
  return [...settled, ...strays];
}

const POOLS_AT_ONCE = 8;

/** A pool that hangs does not keep the round from the others. */
async function sweepPools(runtime: Runtime, dryRun: boolean): Promise<readonly Finding[]> {
  const pools = runtime.config.pools.filter(({ driver }) => driver === 'xenapi');
  const found = await mapBounded(pools, POOLS_AT_ONCE, async ({ name }) => [
    ...(await sweepPool(name, runtime, dryRun)),
    ...(await alone({ kind: 'slot', pool: name, id: name }, () => sweepSlots(name, runtime, dryRun))),
  ]);
  return found.flat();
}
