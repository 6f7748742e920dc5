import { mapBounded } from '../bounded.ts';
import { isFinished } from '../job.ts';
import type { BaseRuntime } from '../runtime/base.ts';
import { type ProtectedVm, protectedVms } from './ages.ts';
import { runOutcomeOf } from './outcome.ts';
import type { Run, RunOutcome, RunReason } from './run.ts';
import type { Schedule } from './schedule.ts';

const READS_AT_ONCE = 16;

/** A run as it stands: `waiting` until its job has been asked for. */
export interface ReportedRun extends Run {
  readonly state: RunOutcome | 'waiting' | 'running';
}

/** What became of a day's runs, and how the scheduled VMs stand now. */
export interface Report {
  readonly runs: readonly ReportedRun[];
  readonly vms: readonly ProtectedVm[];
  /** Enabled schedules with their next times, the next first. */
  readonly due: readonly Schedule[];
}

/**
 * Reports on the runs whose nominal time is on a day (UTC, `YYYY-MM-DD`).
 * @param project whose schedules; all if absent
 */
export async function reportOf(
  date: string,
  project: string | undefined,
  runtime: Pick<BaseRuntime, 'store' | 'clock'>,
): Promise<Report> {
  const { store } = runtime;
  const runs: Run[] = [];
  for await (const run of store.runs.ofDay(date))
    if (project === undefined || run.project === project) runs.push(run);
  const schedules = (await store.schedules.all()).filter(
    (schedule) => project === undefined || schedule.project === project,
  );
  return {
    runs: await mapBounded(runs, READS_AT_ONCE, (run) => stateOf(run, runtime)),
    vms: (await protectedVms(schedules, runtime)).sort((a, b) => b.ageHours - a.ageHours),
    due: schedules.filter(({ nextAt }) => nextAt !== undefined),
  };
}

/** A run whose job has ended, but could not tell it yet, has ended as well. */
async function stateOf(run: Run, { store }: Pick<BaseRuntime, 'store'>): Promise<ReportedRun> {
  if (run.outcome !== undefined) return { ...run, state: run.outcome };
  const job = run.jobId === undefined ? undefined : await store.jobs.get(run.jobId);
  if (!job) return withReason({ ...run, state: 'waiting' }, run.problem);
  if (!isFinished(job)) return { ...run, state: 'running' };
  const { outcome, reason } = runOutcomeOf(job);
  return withReason({ ...run, state: outcome }, reason);
}

function withReason(run: ReportedRun, reason: RunReason | undefined): ReportedRun {
  return reason ? { ...run, reason } : run;
}
