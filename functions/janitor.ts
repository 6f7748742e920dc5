import { lookForBackups } from './janitor/backups.ts';
import type { Finding, JanitorReport } from './janitor/finding.ts';
import { sweepImages } from './janitor/images.ts';
import { settleJobs } from './janitor/jobs.ts';
import { sweepPool } from './janitor/pool.ts';
import { sweepQuotas, sweepSlots } from './janitor/slots.ts';
import { lambdaRuntime, type Runtime } from './runtime/executions.ts';

/** Every 15 minutes, independent of any next run. */
export async function handler(): Promise<JanitorReport> {
  return tidy(lambdaRuntime());
}

/**
 * Finishes jobs that nobody finishes, then looks through pools, slots and Glance for what closed jobs of this
 * installation left, and for backups that are no longer there. Removes only what is provably ours; what is doubtful is
 * reported. A dry run changes nothing. The table keeps the report until the next round.
 */
export async function tidy(
  runtime: Runtime,
  { dryRun = false, actor }: { dryRun?: boolean; actor?: string | undefined } = {},
): Promise<JanitorReport> {
  const { clock, log, metrics, config } = runtime;
  const startedAt = clock.now().toISOString();
  const findings: Finding[] = await settleJobs(runtime, dryRun);
  for (const { name, driver } of config.pools) {
    if (driver !== 'xenapi') continue;
    findings.push(...(await sweepPool(name, runtime, dryRun)), ...(await sweepSlots(name, runtime, dryRun)));
  }
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
