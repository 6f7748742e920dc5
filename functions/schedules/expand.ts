import { createHash, randomUUID } from 'node:crypto';
import { mapBounded } from '../bounded.ts';
import { expiryOf } from '../clock.ts';
import type { Reason } from '../errors.ts';
import type { Runtime } from '../runtime/executions.ts';
import { asJobError } from '../translate.ts';
import { expandTests } from './expand-tests.ts';
import { endOf, LEAST_WAIT_MS, lateFrom, missed, type NominalTime } from './nominal-time.ts';
import { tellRun } from './outcome.ts';
import type { VmsOf } from './pool-vms.ts';
import type { Run, RunOutcome } from './run.ts';
import type { Schedule, ScheduledVm } from './schedule.ts';
import { type Selected, selectVms } from './select.ts';
import { nextNominal } from './timing.ts';

/** A claim outlives the Lambda of a tick. */
const CLAIM_SECONDS = 300;
/**
 * Runs of a schedule that are written at a time. All of a day are in one partition of the index, which takes 1,000 writes
 * a second: twenty thousand take some 35 seconds.
 */
const WRITES_AT_ONCE = 4;
/** Times that one tick puts on record as missed; the next tick goes on. */
const MOST_MISSED = 500;

/** What a tick found out about a schedule. */
type Found = Pick<Schedule, 'nextAt' | 'askUntil'>;

/** The same, with what it found out about the schedule's tests. */
type AllFound = Found & Pick<Schedule, 'nextTestAt'>;

/**
 * Puts the runs of a schedule's times that have come on record, one for each VM, under a claim, so that of two ticks
 * at once one does it. A tick that dies half-way leaves the schedule due: the next one makes what is missing.
 * @param vmsOf asks the pools; for all schedules of a tick the same
 */
export async function expandSchedule(id: string, runtime: Runtime, vmsOf: VmsOf): Promise<void> {
  const { store, clock } = runtime;
  const now = clock.now();
  const until = new Date(now.getTime() + CLAIM_SECONDS * 1000);
  const schedule = await store.schedules.claim(id, randomUUID(), now, until);
  if (!schedule) return;
  let found: AllFound = schedule;
  try {
    const { nextAt, askUntil } = await expand(schedule, now.getTime(), runtime, vmsOf);
    const { nextTestAt } = schedule;
    const times = { ...(nextAt !== undefined && { nextAt }), ...(askUntil !== undefined && { askUntil }) };
    found = { ...times, ...(nextTestAt !== undefined && { nextTestAt }) };
    const nextTests = await expandTests(schedule, now.getTime(), runtime);
    found = { ...times, ...(nextTests !== undefined && { nextTestAt: nextTests }) };
  } finally {
    await store.schedules.release(schedule, found);
  }
}

/** Where several times have come, the newest counts if it is not too late for it; the others are missed. */
async function expand(schedule: Schedule, now: number, runtime: Runtime, vmsOf: VmsOf): Promise<Found> {
  if (schedule.nextAt === undefined || Date.parse(schedule.nextAt) > now) return schedule;
  let time = nominalTimeAt(schedule, Date.parse(schedule.nextAt));
  for (let missed = 0; time.next !== undefined && time.next <= now; missed++) {
    if (missed === MOST_MISSED) return comesNextAt(time.nominal);
    await noteMissed(schedule, time, runtime);
    time = nominalTimeAt(schedule, time.next);
  }
  const asked = schedule.askUntil !== undefined && time.nominal === Date.parse(schedule.nextAt);
  if (asked || now < lateFrom(time)) return makeRuns(schedule, time, now, runtime, vmsOf);
  await noteMissed(schedule, time, runtime);
  return comesNextAt(time.next);
}

async function makeRuns(
  schedule: Schedule,
  time: NominalTime,
  now: number,
  runtime: Runtime,
  vmsOf: VmsOf,
): Promise<Found> {
  const { vms, unasked } = await select(schedule, runtime, vmsOf);
  await mapBounded(vms, WRITES_AT_ONCE, (vm) => create(schedule, time, vm, runtime));
  const askUntil =
    schedule.askUntil ??
    iso(Math.min(endOf(time), Math.max(time.nominal + windowMs(schedule), now) + LEAST_WAIT_MS));
  if (unasked.length > 0 && iso(now) < askUntil) return { ...comesNextAt(time.nominal), askUntil };
  for (const { reason, ...of } of unasked) await end(schedule, time, of, 'failed', reason, runtime);
  if (vms.length === 0 && unasked.length === 0) {
    const reason = { name: 'NothingSelected', message: 'No VM fits the selector.' };
    await end(schedule, time, {}, 'skipped', reason, runtime);
  }
  return comesNextAt(time.next);
}

async function select(schedule: Schedule, runtime: Runtime, vmsOf: VmsOf): Promise<Selected> {
  try {
    return await selectVms(schedule, runtime, vmsOf);
  } catch (error) {
    const { pool } = schedule.selector ?? {};
    return { vms: [], unasked: [{ ...(pool !== undefined && { pool }), reason: asJobError(error) }] };
  }
}

/** Each VM has a place of its own in the window, always the same. */
async function create(
  schedule: Schedule,
  time: NominalTime,
  vm: ScheduledVm,
  runtime: Runtime,
): Promise<void> {
  const window = windowMs(schedule);
  const hash = createHash('sha256').update(`${schedule.id} ${vm.pool} ${vm.uuid}`).digest().readUInt32BE();
  const startAfter = time.nominal + Math.floor(((hash / 2 ** 32) * window) / 1000) * 1000;
  const startBefore = Math.min(endOf(time), Math.max(time.nominal + window, startAfter + LEAST_WAIT_MS));
  const run: Run = {
    ...runOf(schedule, time),
    pool: vm.pool,
    vmUuid: vm.uuid,
    vmName: vm.name,
    jobId: randomUUID(),
    startAfter: iso(startAfter),
    startBefore: iso(startBefore),
  };
  await runtime.store.runs.create(run, expiryOf(new Date(time.nominal), runtime.config.retainJobsDays));
}

async function noteMissed(schedule: Schedule, time: NominalTime, runtime: Runtime): Promise<void> {
  const { vm } = schedule;
  const of = vm ? { pool: vm.pool, vmUuid: vm.uuid, vmName: vm.name } : {};
  await end(schedule, time, of, 'skipped', missed(runtime.clock.now()), runtime);
}

/** Puts a run on record that has ended before it began. */
async function end(
  schedule: Schedule,
  time: NominalTime,
  of: Partial<Run>,
  outcome: RunOutcome,
  reason: Reason,
  runtime: Runtime,
): Promise<void> {
  const run = { ...runOf(schedule, time), ...of };
  await runtime.store.runs.create(run, expiryOf(new Date(time.nominal), runtime.config.retainJobsDays));
  await tellRun(run, undefined, { outcome, reason }, runtime);
}

function runOf({ id, project, backupType }: Schedule, { nominal, next }: NominalTime): Run {
  return {
    scheduleId: id,
    nominal: iso(nominal),
    ...(next !== undefined && { next: iso(next) }),
    ...(project !== undefined && { project }),
    backupType,
  };
}

function nominalTimeAt(schedule: Schedule, nominal: number): NominalTime {
  return { nominal, next: nextNominal(schedule, nominal) };
}

function comesNextAt(nominal: number | undefined): Pick<Found, 'nextAt'> {
  return nominal === undefined ? {} : { nextAt: iso(nominal) };
}

function windowMs({ flexibleMinutes }: Schedule): number {
  return flexibleMinutes * 60_000;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
