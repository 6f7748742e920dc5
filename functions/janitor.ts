import { mapBounded } from './bounded.ts';
import { lookForBackups } from './janitor/backups.ts';
import { listRunning, sweepExecutions } from './janitor/executions.ts';
import { type Finding, type JanitorReport, ROUND_SECONDS } from './janitor/finding.ts';
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
/** What a round has for them, in seconds: of its 900, jobs and images have what is left. */
const POOLS_SECONDS = 240;

/** Pools that hang keep the round from the others for this once: each round begins with others. */
async function sweepPools(runtime: Runtime, dryRun: boolean): Promise<readonly Finding[]> {
  const { clock, config } = runtime;
  const until = clock.now().getTime() + POOLS_SECONDS * 1000;
  const pools = config.pools.filter(({ driver }) => driver === 'xenapi');
  const begin =
    (Math.floor(clock.now().getTime() / (ROUND_SECONDS * 1000)) * POOLS_AT_ONCE) % (pools.length || 1);
  const inTurn = [...pools.slice(begin), ...pools.slice(0, begin)];
  const found = await mapBounded(
    inTurn,
    POOLS_AT_ONCE,
    async ({ name: pool }): Promise<readonly Finding[]> => {
      const seconds = (until - clock.now().getTime()) / 1000;
      if (seconds <= 0) return [{ kind: 'pool', pool, id: pool, what: NOT_COME_TO, action: 'failed' }];
      return [
        ...(await sweepPool(pool, runtime, { dryRun, seconds })),
        ...(await alone({ kind: 'slot', pool, id: pool }, () => sweepSlots(pool, runtime, dryRun))),
      ];
    },
  );
  return found.flat();
}

const NOT_COME_TO = 'not looked through: other pools, which hang, took the time of this round';
