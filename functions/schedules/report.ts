import { mapBounded } from '../bounded.ts';
import type { Reason } from '../errors.ts';
import { isFinished, type SnapshotJob, wasRefused } from '../job.ts';
import { nameOfVm } from '../pool/vm-name.ts';
import { ownsVm } from '../projects.ts';
import type { BaseRuntime } from '../runtime/base.ts';
import { agesOf, knownVms, type OtherVm, type ProtectedVm } from './ages.ts';
import { coveredBy, overdueAfter, vmKey, vmsOfPools } from './coverage.ts';
import type { LookBound } from './look.ts';
import { isAskedForAgain } from './made-up.ts';
import { jobOfRun, runOutcomeOf } from './outcome.ts';
import { askOnce } from './pool-vms.ts';
import type { Run, RunState } from './run.ts';
import type { RestoreTest, Schedule } from './schedule.ts';
import { areTestsOverdue } from './test-times.ts';

const READS_AT_ONCE = 16;
/** API Gateway waits for 29 s: so many for the pools, while the table is read, and then so many for Glance. */
const POOLS_SECONDS = 8;
const LOOK: LookBound = { seconds: 6, singly: 200 };
/** Jobs of a day that are looked through for those on demand. */
const MOST_JOBS = 10_000;
/** A VM that no schedule covers counts as protected for so long after a verified backup. */
export const PROTECTED_HOURS = 168;

/** A run as it stands. */
export interface ReportedRun extends Run {
  readonly state: RunState;
}

/** How a schedule's tests stand. */
export interface TestedSchedule extends Pick<Schedule, 'id' | 'name' | 'provenAt' | 'nextTestAt'> {
  readonly restoreTest: RestoreTest;
  readonly overdue: boolean;
}

/** Something that the report could not look at, and why. */
export interface Gap {
  readonly what: string;
  readonly reason: Reason;
}

/** What became of a day's runs and snapshots, and how the VMs stand now. */
export interface Report {
  readonly runs: readonly ReportedRun[];
  /** Tests that schedules had of restores. */
  readonly tests: readonly ReportedRun[];
  /** The schedules that have them, those first that are overdue. */
  readonly testing: readonly TestedSchedule[];
  /** The jobs of the day that no schedule asked for, the newest first. */
  readonly snapshots: readonly SnapshotJob[];
  /** The VMs that schedules cover, the oldest backup first. */
  readonly vms: readonly ProtectedVm[];
  /** The VMs that are there, that none covers, and that have no verified backup of the last {@link PROTECTED_HOURS}. */
  readonly unprotected: readonly OtherVm[];
  /** Enabled schedules with their next times, the next first. */
  readonly due: readonly Schedule[];
  readonly gaps: readonly Gap[];
}

/**
 * Reports on the runs and jobs of a day (UTC, `YYYY-MM-DD`), and on the VMs as they stand now.
 * @param project whose schedules, jobs and VMs; all if absent
 * @param asOf when its first page was made; now if absent. ISO 8601 UTC
 */
export async function reportOf(
  date: string,
  project: string | undefined,
  runtime: BaseRuntime,
  asOf?: string,
): Promise<Report> {
  const { store, config, clock } = runtime;
  const now = clock.now();
  const [pools, known, all, runs, snapshots] = await Promise.all([
    vmsOfPools(runtime, askOnce(runtime, POOLS_SECONDS), POOLS_SECONDS),
    knownVms(runtime),
    store.schedules.all(),
    runsOf(date, project, runtime),
    snapshotsOf(date, project, runtime),
  ]);
  const schedules = all.filter((schedule) => project === undefined || schedule.project === project);
  const covered = coveredBy(schedules, pools, known, { config, now, hoursOf: overdueAfter() });
  const byAny = project === undefined ? covered : coveredBy(all, pools, known, { config, now });
  const owner = project === undefined ? undefined : config.projects?.[project];
  const others = [...pools.vms].flatMap(([pool, records]) =>
    records
      .filter((record) => !byAny.has(vmKey({ pool, uuid: record.uuid })))
      .filter((record) => project === undefined || (owner !== undefined && ownsVm(owner, record)))
      .map((vm) => ({ pool, uuid: vm.uuid, name: nameOfVm(vm) })),
  );
  const ages = await agesOf([...covered.values()], others, known, runtime, LOOK, { project, asOf });
  return {
    runs: runs.filter(({ test }) => !test),
    tests: runs.filter(({ test }) => test),
    testing: testingOf(schedules, now),
    snapshots: snapshots.jobs,
    vms: [...ages.covered].sort((a, b) => b.ageHours - a.ageHours),
    unprotected: ages.others
      .filter(({ ageHours }) => ageHours === undefined || ageHours > PROTECTED_HOURS)
      .sort((a, b) => a.name.localeCompare(b.name) || (a.uuid < b.uuid ? -1 : 1)),
    due: schedules.filter(({ nextAt }) => nextAt !== undefined),
    gaps: [
      ...pools.away.map(({ pool, reason }) => ({ what: `the VMs of the pool "${pool}"`, reason })),
      ...(ages.problem ? [{ what: 'backups in Glance', reason: ages.problem }] : []),
      ...(snapshots.more ? [{ what: `jobs before the last ${MOST_JOBS} of the day`, reason: TOO_MANY }] : []),
    ],
  };
}

function testingOf(schedules: readonly Schedule[], now: Date): TestedSchedule[] {
  const found = schedules.flatMap((schedule) => {
    const { id, name, provenAt, nextTestAt, restoreTest, enabled } = schedule;
    if (!enabled || !restoreTest) return [];
    return {
      ...{ id, restoreTest, overdue: areTestsOverdue(schedule, now) },
      ...(name !== undefined && { name }),
      ...(provenAt !== undefined && { provenAt }),
      ...(nextTestAt !== undefined && { nextTestAt }),
    };
  });
  return found.sort((a, b) => Number(b.overdue) - Number(a.overdue));
}

const TOO_MANY: Reason = { name: 'TimedOut', message: 'There are too many of them for one report.' };

async function runsOf(
  date: string,
  project: string | undefined,
  runtime: Pick<BaseRuntime, 'store' | 'clock'>,
): Promise<ReportedRun[]> {
  const runs: Run[] = [];
  for await (const run of runtime.store.runs.ofDay(date))
    if (project === undefined || run.project === project) runs.push(run);
  return mapBounded(runs, READS_AT_ONCE, (run) => stateOf(run, runtime));
}

/** Jobs on demand have no list of their own: those of the day are looked through, as far as the bound goes. */
async function snapshotsOf(
  date: string,
  project: string | undefined,
  { store }: Pick<BaseRuntime, 'store'>,
): Promise<{ jobs: SnapshotJob[]; more: boolean }> {
  const jobs: SnapshotJob[] = [];
  let seen = 0;
  for await (const job of store.jobs.each('all', { from: date, to: `${date}T~` })) {
    if (++seen > MOST_JOBS) return { jobs, more: true };
    if (!job.run && !wasRefused(job) && (project === undefined || job.project === project)) jobs.push(job);
  }
  return { jobs, more: false };
}

/** A run whose job has ended, but could not tell it yet, has ended as well, unless another job is to be asked for. */
async function stateOf(
  run: Run,
  { store, clock }: Pick<BaseRuntime, 'store' | 'clock'>,
): Promise<ReportedRun> {
  if (run.outcome !== undefined) return { ...run, state: run.outcome };
  const job = await jobOfRun(run, { store });
  if (!job) return withReason({ ...run, state: 'waiting' }, run.problem);
  if (!isFinished(job)) return { ...run, state: 'running' };
  const { outcome, reason } = runOutcomeOf(job);
  const ended = { ...run, ...(job.finishedAt !== undefined && { finishedAt: job.finishedAt }) };
  if (reason && isAskedForAgain(run, job, reason, clock.now()))
    return withReason({ ...run, state: 'waiting' }, reason);
  return withReason({ ...ended, state: outcome }, reason);
}

function withReason(run: ReportedRun, reason: Reason | undefined): ReportedRun {
  return reason ? { ...run, reason } : run;
}
