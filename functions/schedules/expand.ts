import { createHash, randomUUID } from 'node:crypto';
import { expiryOf } from '../clock.ts';
import type { Reason } from '../errors.ts';
import type { Runtime } from '../runtime/executions.ts';
import { asJobError } from '../translate.ts';
import { tellRun } from './outcome.ts';
import type { Run, RunOutcome } from './run.ts';
import type { Schedule, ScheduledVm } from './schedule.ts';
import { type Selected, selectVms } from './select.ts';
import { endOf, LEAST_WAIT_MS, lateFrom, missed, type Slot } from './slot.ts';
import { nextNominal } from './timing.ts';

/** A claim outlives the Lambda of a tick. */
const CLAIM_SECONDS = 300;
/** Times that one tick puts on record as missed; the next tick goes on. */
const MOST_MISSED = 500;

/** What a tick found out about a schedule. */
type Found = Pick<Schedule, 'nextAt' | 'askUntil'>;

/**
 * Puts the runs of a schedule's times that have come on record, one for each VM, under a claim, so that of two ticks
 * at once one does it. A tick that dies half-way leaves the schedule due: the next one makes what is missing.
 */
export async function expandSchedule(id: string, runtime: Runtime): Promise<void> {
  const { store, clock } = runtime;
  const now = clock.now();
  const until = new Date(now.getTime() + CLAIM_SECONDS * 1000);
  const schedule = await store.schedules.claim(id, randomUUID(), now, until);
  if (!schedule) return;
  let found: Found = schedule;
  try {
    found = await expand(schedule, now.getTime(), runtime);
  } finally {
    await store.schedules.release(schedule, found);
  }
}

/** Of several times that have come the newest counts, if it is not too late for it; the others are missed. */
async function expand(schedule: Schedule, now: number, runtime: Runtime): Promise<Found> {
  if (schedule.nextAt === undefined || Date.parse(schedule.nextAt) > now) return schedule;
  let slot = slotAt(schedule, Date.parse(schedule.nextAt));
  for (let missed = 0; slot.next !== undefined && slot.next <= now; missed++) {
    if (missed === MOST_MISSED) return placeAt(slot.nominal);
    await noteMissed(schedule, slot, runtime);
    slot = slotAt(schedule, slot.next);
  }
  const asked = schedule.askUntil !== undefined && slot.nominal === Date.parse(schedule.nextAt);
  if (asked || now < lateFrom(slot)) return runSlot(schedule, slot, now, runtime);
  await noteMissed(schedule, slot, runtime);
  return placeAt(slot.next);
}

async function runSlot(schedule: Schedule, slot: Slot, now: number, runtime: Runtime): Promise<Found> {
  const { vms, unasked } = await select(schedule, runtime);
  for (const vm of vms) await create(schedule, slot, vm, runtime);
  const askUntil =
    schedule.askUntil ??
    iso(Math.min(endOf(slot), Math.max(slot.nominal + windowMs(schedule), now) + LEAST_WAIT_MS));
  if (unasked.length > 0 && iso(now) < askUntil) return { ...placeAt(slot.nominal), askUntil };
  for (const { reason, ...of } of unasked) await end(schedule, slot, of, 'failed', reason, runtime);
  if (vms.length === 0 && unasked.length === 0) {
    const reason = { name: 'NothingSelected', message: 'No VM fits the selector.' };
    await end(schedule, slot, {}, 'skipped', reason, runtime);
  }
  return placeAt(slot.next);
}

async function select(schedule: Schedule, runtime: Runtime): Promise<Selected> {
  try {
    return await selectVms(schedule, runtime);
  } catch (error) {
    const { pool } = schedule.selector ?? {};
    return { vms: [], unasked: [{ ...(pool !== undefined && { pool }), reason: asJobError(error) }] };
  }
}

/** Each VM has a place of its own in the window, always the same. */
async function create(schedule: Schedule, slot: Slot, vm: ScheduledVm, runtime: Runtime): Promise<void> {
  const window = windowMs(schedule);
  const hash = createHash('sha256').update(`${schedule.id} ${vm.pool} ${vm.uuid}`).digest().readUInt32BE();
  const startAfter = slot.nominal + Math.floor(((hash / 2 ** 32) * window) / 1000) * 1000;
  const startBefore = Math.min(endOf(slot), Math.max(slot.nominal + window, startAfter + LEAST_WAIT_MS));
  const run: Run = {
    ...runOf(schedule, slot),
    pool: vm.pool,
    vmUuid: vm.uuid,
    vmName: vm.name,
    jobId: randomUUID(),
    startAfter: iso(startAfter),
    startBefore: iso(startBefore),
  };
  await runtime.store.runs.create(run, expiryOf(new Date(slot.nominal), runtime.config.retainJobsDays));
}

async function noteMissed(schedule: Schedule, slot: Slot, runtime: Runtime): Promise<void> {
  const { vm } = schedule;
  const of = vm ? { pool: vm.pool, vmUuid: vm.uuid, vmName: vm.name } : {};
  await end(schedule, slot, of, 'skipped', missed(runtime.clock.now()), runtime);
}

/** Puts a run on record that has ended before it began. */
async function end(
  schedule: Schedule,
  slot: Slot,
  of: Partial<Run>,
  outcome: RunOutcome,
  reason: Reason,
  runtime: Runtime,
): Promise<void> {
  const run = { ...runOf(schedule, slot), ...of };
  await runtime.store.runs.create(run, expiryOf(new Date(slot.nominal), runtime.config.retainJobsDays));
  await tellRun(run, undefined, { outcome, reason }, runtime);
}

function runOf({ id, project, backupType }: Schedule, { nominal, next }: Slot): Run {
  return {
    scheduleId: id,
    nominal: iso(nominal),
    ...(next !== undefined && { next: iso(next) }),
    ...(project !== undefined && { project }),
    backupType,
  };
}

function slotAt(schedule: Schedule, nominal: number): Slot {
  return { nominal, next: nextNominal(schedule, nominal) };
}

function placeAt(nominal: number | undefined): Pick<Found, 'nextAt'> {
  return nominal === undefined ? {} : { nextAt: iso(nominal) };
}

function windowMs({ flexibleMinutes }: Schedule): number {
  return flexibleMinutes * 60_000;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
