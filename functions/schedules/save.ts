import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { VmRecord } from '../../xapi/types.ts';
import { poolConfig } from '../config.ts';
import { XensnapError } from '../errors.ts';
import { refuseUnfit } from '../glance-text.ts';
import { nameOfVm } from '../pool/vm-name.ts';
import { allowedToRestore } from '../projects.ts';
import { giveBack, takeQuota } from '../quota.ts';
import type { Runtime } from '../runtime/executions.ts';
import { refuseFlatRaw } from '../snapshot-request.ts';
import { findTarget } from '../target.ts';
import { DEFAULT_QUIESCE, type ImageFormat, type Quiesce } from '../words.ts';
import type { RestoreTest, Schedule, ScheduledVm, Selector } from './schedule.ts';
import { refuseUnusableTestSr } from './test-sr.ts';
import { nextTest } from './test-times.ts';
import { nextNominal, type Timing, typeOf, windowOf } from './timing.ts';
import { refuseUnknownZone } from './wall-clock.ts';

/** A schedule as a caller wants it, through whichever API. */
export interface ScheduleWish {
  readonly name?: string;
  /** UUID or name of one VM, and the pool where several have such a VM; or a selector. */
  readonly vm?: string;
  readonly pool?: string;
  readonly selector?: Selector;
  readonly timing: Timing;
  /** UTC if absent. */
  readonly timeZone?: string;
  /** The window over which VMs are spread; a daily or weekly window sets it, and it is 0 otherwise if absent. */
  readonly flexibleMinutes?: number;
  readonly keep: number;
  /** `daily` or `weekly` by the timing if absent. */
  readonly backupType?: string;
  readonly quiesce?: Quiesce;
  readonly format?: ImageFormat;
  /** Position of the disk to be imaged; the one that each VM boots from if absent. */
  readonly device?: string;
  readonly flatten?: boolean;
  readonly restoreTest?: RestoreTest;
  readonly enabled?: boolean;
  readonly project?: string;
  /** Who makes or changes it. */
  readonly actor?: string;
  /** The VMs that the caller may touch; all if absent. */
  readonly allows?: (vm: VmRecord) => boolean;
}

/**
 * Makes the schedule of that id, or puts the wish in its place. One VM is looked up and must be fit for an image; the
 * one that the schedule has already is asked for only about another disk, so that a schedule whose VM is gone can still
 * be changed.
 * @throws BadRequest for a wish that is wrong, and what {@link findTarget} throws; PoolNotFound,
 *   QuotaExceeded; Forbidden for tests where the project may not restore
 */
export async function saveSchedule(id: string, wish: ScheduleWish, runtime: Runtime): Promise<Schedule> {
  const { schedules } = runtime.store;
  if (wish.restoreTest) allowedToRestore(wish.project, runtime.config);
  const before = await schedules.get(id);
  if (!before) await takeQuota('schedules', wish.project, id, runtime);
  const made = await wished(id, wish, before, runtime).catch(async (error: unknown) => {
    if (!before) await giveBack('schedules', wish.project, id, runtime);
    throw error;
  });
  if (!before) {
    if (await schedules.create(made)) return made;
    return saveSchedule(id, wish, runtime);
  }
  const saved = await schedules.replace(made, before, {
    retimed: isRetimed(before, made),
    retested: isRetested(before, made),
  });
  // Removed between the two: then it is made.
  return saved ?? saveSchedule(id, wish, runtime);
}

/** Removes a schedule; its place among those that the project may have is free again. */
export async function removeSchedule(
  id: string,
  project: string | undefined,
  { store }: Runtime,
): Promise<void> {
  await store.schedules.remove(id);
  await giveBack('schedules', project, id, { store });
}

async function wished(
  id: string,
  wish: ScheduleWish,
  before: Schedule | undefined,
  runtime: Runtime,
): Promise<Schedule> {
  const made = scheduleOf(id, wish, before, runtime.clock.now(), await vmOf(wish, before, runtime));
  if (made.restoreTest?.sr !== before?.restoreTest?.sr) await refuseUnusableTestSr(made, runtime);
  return made;
}

function scheduleOf(
  id: string,
  wish: ScheduleWish,
  before: Schedule | undefined,
  now: Date,
  vm: ScheduledVm | undefined,
): Schedule {
  const { timing, timeZone = 'UTC', enabled = true } = wish;
  refuseUnknownZone(timeZone);
  const window = windowOf(timing);
  if (window !== undefined && wish.flexibleMinutes !== undefined && wish.flexibleMinutes !== window)
    throw new XensnapError(
      'BadRequest',
      `flexibleMinutes: the window sets it to ${window}; leave it out, or use "at".`,
    );
  const backupType = wish.backupType ?? typeOf(timing);
  if (backupType === undefined)
    throw new XensnapError('BadRequest', 'backupType: is missing; cron and rate do not say which it is.');
  refuseUnfit('backupType', backupType);
  refuseFlatRaw(wish.format, wish.flatten);
  // Whole minutes, as all other nominal times.
  const anchor = new Date(Math.floor(now.getTime() / 60_000) * 60_000).toISOString();
  const kept = before && isDeepStrictEqual(before.timing, timing) ? before.anchor : anchor;
  const next = nextNominal({ timing, timeZone, anchor: kept }, now.getTime());
  if (next === undefined)
    throw new XensnapError('BadRequest', 'cron: no time is left that the expression names.');
  return {
    id,
    ...(wish.name !== undefined && { name: wish.name }),
    ...(wish.project !== undefined && { project: wish.project }),
    ...whoOf(wish, before),
    ...(vm && { vm }),
    ...(wish.selector && { selector: wish.selector }),
    timing,
    timeZone,
    flexibleMinutes: window ?? wish.flexibleMinutes ?? 0,
    keep: wish.keep,
    backupType,
    quiesce: wish.quiesce ?? DEFAULT_QUIESCE,
    ...(wish.format && { format: wish.format }),
    ...(wish.device !== undefined && { device: wish.device }),
    ...(wish.flatten && { flatten: true }),
    ...(wish.restoreTest && testsOf(wish.restoreTest, before, { anchor, now, enabled })),
    enabled,
    createdAt: before?.createdAt ?? now.toISOString(),
    updatedAt: now.toISOString(),
    anchor: kept,
    revision: randomUUID(),
    ...(enabled && { nextAt: new Date(next).toISOString() }),
  };
}

/** The first test is a period after somebody has wished for it, or has enabled the schedule: by then there are backups. */
function testsOf(
  restoreTest: RestoreTest,
  before: Schedule | undefined,
  { anchor, now, enabled }: { readonly anchor: string; readonly now: Date; readonly enabled: boolean },
): Pick<Schedule, 'restoreTest' | 'testAnchor' | 'nextTestAt'> {
  const { every } = restoreTest;
  const goesOn = before?.enabled === true && before.restoreTest?.every === every;
  const testAnchor = goesOn ? (before.testAnchor ?? anchor) : anchor;
  const next = nextTest({ every, testAnchor }, now.getTime());
  return { restoreTest, testAnchor, ...(enabled && { nextTestAt: new Date(next).toISOString() }) };
}

/** A test that is due and not begun yet stays due where nothing about its times has changed. */
function isRetested(before: Schedule, made: Schedule): boolean {
  return before.enabled !== made.enabled || before.restoreTest?.every !== made.restoreTest?.every;
}

/** Keeps who made the schedule; the caller who saves it answers for it from now on. */
function whoOf({ actor }: ScheduleWish, before: Schedule | undefined): Pick<Schedule, 'actor' | 'changedBy'> {
  const maker = before ? before.actor : actor;
  return { ...(maker !== undefined && { actor: maker }), ...(actor !== undefined && { changedBy: actor }) };
}

/** A time that is due but not dealt with yet stays due if nothing about the times has changed. */
function isRetimed(before: Schedule, made: Schedule): boolean {
  return (
    before.enabled !== made.enabled ||
    before.timeZone !== made.timeZone ||
    !isDeepStrictEqual(before.timing, made.timing) ||
    (made.enabled && before.nextAt === undefined)
  );
}

async function vmOf(
  { vm, pool, selector, quiesce, format, device, flatten, allows }: ScheduleWish,
  before: Schedule | undefined,
  runtime: Runtime,
): Promise<ScheduledVm | undefined> {
  if ((vm === undefined) === (selector === undefined))
    throw new XensnapError('BadRequest', 'vm: give either one VM or a selector.');
  if (selector?.pool !== undefined) poolConfig(runtime.config, selector.pool);
  if (vm === undefined) return undefined;
  const known = before?.vm;
  const isKnown = known?.uuid === vm && (pool === undefined || pool === known.pool);
  if (known && isKnown && device === before?.device) return known;
  const target = await findTarget(
    {
      vm,
      ...(pool !== undefined && { pool }),
      ...(quiesce && { quiesce }),
      ...(format && { format }),
      ...(device !== undefined && { device }),
      ...(flatten && { flatten }),
      ...(allows && { allows }),
    },
    runtime,
  );
  return { pool: target.pool, uuid: target.vm.uuid, name: nameOfVm(target.vm) };
}
