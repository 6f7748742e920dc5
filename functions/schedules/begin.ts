import { randomUUID } from 'node:crypto';
import { mapBounded } from '../bounded.ts';
import { END_OF_TIME } from '../clock.ts';
import type { Reason } from '../errors.ts';
import { isFinished } from '../job.ts';
import { allowedVms } from '../projects.ts';
import type { requestSnapshot } from '../request.ts';
import type { requestRestore } from '../restore-request.ts';
import type { Runtime } from '../runtime/executions.ts';
import { told } from '../told.ts';
import { asJobError } from '../translate.ts';
import { isAskedForAgain, isInTime, mayPass } from './made-up.ts';
import { isLate, LEAST_WAIT_MS, missed } from './nominal-time.ts';
import { jobOfRun, noteRefused, noteTested, runOutcomeOf, tellRun } from './outcome.ts';
import { Refusals } from './refusals.ts';
import type { Run } from './run.ts';
import type { Schedule } from './schedule.ts';
import { inTurns } from './turns.ts';

/** Jobs asked for at a time, of as many projects and pools as there are: each asks a pool and Glance. */
const AT_ONCE = 16;
/** Asked for a tick ahead of its place in the window: TakeVm waits for the second. */
const AHEAD_MS = 60_000;
/** So many runs whose jobs run are looked at by each tick; more of them four times an hour. */
const FEW = 500;
const LOOK_MINUTES = 15;

/** The VM is not there any more, or is no longer the project's. */
const GONE: readonly string[] = ['VmNotFound', 'VmGone'];

/** How jobs are asked for: those of backups, and those of tests. */
export interface Requests {
  readonly snapshot: typeof requestSnapshot;
  readonly restore: typeof requestRestore;
}

/**
 * Asks for the jobs of runs whose time has come, and reads how those ended whose job could not say so. Projects take turns,
 * and the pools of each.
 * @param hasTime whether another may be begun with: the tick's Lambda must end
 */
export async function beginRuns(
  runtime: Runtime,
  requests: Requests,
  { hasTime }: { hasTime: () => boolean },
): Promise<void> {
  const { store, clock, log } = runtime;
  const now = clock.now();
  const ahead = new Date(now.getTime() + AHEAD_MS).toISOString();
  const runs: Run[] = [];
  for await (const run of store.runs.open()) if ((run.startAfter ?? '') <= ahead) runs.push(run);
  const waiting = inTurns(
    inTurns(shareOf(now.getUTCMinutes(), runs), ({ pool }) => pool),
    ({ project }) => project,
  );
  const isTimeToLook = now.getUTCMinutes() % LOOK_MINUTES === 0 || (await store.runs.countBegun()) <= FEW;
  const begun = isTimeToLook ? await Array.fromAsync(store.runs.begun()) : [];
  const refusals = new Refusals();
  const each = [
    ...waiting.map((run) => ({ run, isBegun: false })),
    ...begun.map((run) => ({ run, isBegun: true })),
  ];
  await mapBounded(each, AT_ONCE, async ({ run, isBegun }) => {
    if (!hasTime() || (refusals.mustWait(run, now) && !isBegun)) return;
    try {
      await goOn(run, isBegun, runtime, requests, refusals);
    } catch (error) {
      const { scheduleId, nominal, vmUuid: vm } = run;
      log.error('a scheduled run is left for the next tick', {
        ...{ scheduleId, nominal, vm },
        reason: String(error),
      });
    }
  });
}

/** Ticks that are at work at a time at most, each of which has two minutes. */
const TICKS_AT_ONCE = 3;

/**
 * Of very many runs each minute's tick takes another third: it would else ask for the very jobs that the ticks before it
 * are still asking for, and have the pools answer two or three times.
 */
function shareOf(minute: number, runs: readonly Run[]): readonly Run[] {
  if (runs.length <= FEW) return runs;
  const share = ({ jobId = '' }: Run) => Number.parseInt(jobId.slice(0, 8), 16) % TICKS_AT_ONCE;
  return runs.filter((run) => share(run) === minute % TICKS_AT_ONCE);
}

async function goOn(
  run: Run,
  isBegun: boolean,
  runtime: Runtime,
  requests: Requests,
  refusals: Refusals,
): Promise<void> {
  const job = await jobOfRun(run, runtime);
  if (!job) return ask(run, runtime, requests, refusals);
  if (!isFinished(job)) {
    // It was asked for by a tick that could not say so.
    if (!isBegun) await runtime.store.runs.begin(run);
    return;
  }
  const { reason, ...told } = runOutcomeOf(job);
  if (reason && isAskedForAgain(run, job, reason, runtime.clock.now())) {
    // Its id is spent: the next tick asks with another.
    await runtime.store.runs.retry(run, randomUUID(), reason);
    return;
  }
  if (job.machine === 'restore') await noteTested(job, runtime);
  await tellRun(run, job.id, { ...told, reason }, runtime);
}

async function ask(run: Run, runtime: Runtime, requests: Requests, refusals: Refusals): Promise<void> {
  const { store, clock } = runtime;
  const now = clock.now();
  const schedule = await store.schedules.get(run.scheduleId);
  const tell = async (outcome: 'failed' | 'skipped', reason: Reason): Promise<void> => {
    if (run.test && outcome === 'failed') await noteRefused(run, reason, runtime);
    await tellRun(run, run.jobId, { outcome, reason }, runtime);
    // There is no job of it that would be counted.
    if (run.test && outcome === 'failed') runtime.metrics.count('RestoreTestFailed');
  };
  if (!schedule?.enabled) return tell('skipped', revoked(schedule));
  if (!isInTime(run, now)) {
    // A run that waits for the project's other jobs waits like one that nobody has come to yet.
    const late = isLate(run, now);
    if (run.problem && (late || run.problem.name !== 'QuotaExceeded')) return tell('failed', run.problem);
    if (late) return tell('skipped', missed(now));
  }
  const wait = async (reason: Reason): Promise<void> => {
    if (run.problem?.message !== reason.message) await store.runs.trouble(run, reason);
  };
  const away = refusals.poolOf(run);
  if (away) return wait(away);
  try {
    if (run.test) await askTest(run, run.test, schedule, runtime, requests);
    else await askBackup(run, schedule, runtime, requests);
  } catch (error) {
    const reason = asJobError(error);
    if (mayPass(reason)) {
      refusals.note(run, reason);
      return wait(reason);
    }
    // A rotation may have deleted what was to be tested.
    await tell(run.test && reason.name === 'ImageNotFound' ? 'skipped' : 'failed', reason);
    if (schedule.vm && GONE.includes(reason.name)) await disable(schedule, reason, runtime);
    return;
  }
  await store.runs.begin(run);
}

/** Of each run its own, and of a schedule's last changes who answers for it. */
function sharedOf({ jobId, project }: Run, { changedBy }: Schedule) {
  return {
    ...(jobId !== undefined && { jobId }),
    ...(changedBy !== undefined && { actor: changedBy }),
    ...(project !== undefined && { project }),
  };
}

async function askTest(
  run: Run,
  test: NonNullable<Run['test']>,
  schedule: Schedule,
  runtime: Runtime,
  { restore }: Requests,
): Promise<void> {
  const { boot = false, sr } = schedule.restoreTest ?? {};
  const { scheduleId, nominal } = run;
  await restore(
    {
      ...{ image: test.imageId, test: true, boot, run: { scheduleId, nominal, test } },
      ...(sr !== undefined && { sr }),
      ...sharedOf(run, schedule),
    },
    runtime,
  );
}

async function askBackup(
  run: Run,
  schedule: Schedule,
  runtime: Runtime,
  { snapshot }: Requests,
): Promise<void> {
  const { clock, config } = runtime;
  await snapshot(
    {
      vm: run.vmUuid ?? '',
      ...(run.pool !== undefined && { pool: run.pool }),
      quiesce: schedule.quiesce,
      ...(schedule.format && { format: schedule.format }),
      ...(schedule.device !== undefined && { device: schedule.device }),
      ...(schedule.flatten && { flatten: true }),
      backup: { type: run.backupType, keep: schedule.keep },
      scheduled: { scheduleId: run.scheduleId, nominal: run.nominal, ...timesOf(run, clock.now()) },
      ...sharedOf(run, schedule),
      ...(run.project !== undefined && { allows: allowedVms(run.project, config) }),
    },
    runtime,
  );
}

/** A run that is made up late gets as much time as one in time has at least, up to the next. */
function timesOf(run: Run, now: Date): { startAfter: Date; startBefore: Date } {
  const { startAfter = run.nominal, startBefore = run.nominal, next = END_OF_TIME } = run;
  const until = isInTime(run, now) ? startBefore : Math.min(now.getTime() + LEAST_WAIT_MS, Date.parse(next));
  return { startAfter: new Date(startAfter), startBefore: new Date(until) };
}

function revoked(schedule: Schedule | undefined): Reason {
  return schedule
    ? { name: 'ScheduleDisabled', message: 'The schedule was disabled before the run began.' }
    : { name: 'ScheduleRemoved', message: 'The schedule was removed before the run began.' };
}

async function disable(schedule: Schedule, problem: Reason, { store, log }: Runtime): Promise<void> {
  const reason = `Its VM is gone, or no longer the project's: ${told(problem).message}`;
  if (await store.schedules.disable(schedule, reason))
    log.warn('schedule disabled', { scheduleId: schedule.id, reason });
}
