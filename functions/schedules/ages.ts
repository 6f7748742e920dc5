import { mapBounded } from '../bounded.ts';
import type { Reason } from '../errors.ts';
import type { BaseRuntime } from '../runtime/base.ts';
import { type KnownVm, lostBefore, standing, type Tests, type VerifiedBackup } from '../store/backups.ts';
import { type CoveredVm, coveredBy, type PoolVms, vmKey, vmsOfPools } from './coverage.ts';
import { type LookBound, lookAtBackups } from './look.ts';
import type { VmsOf } from './pool-vms.ts';
import type { ScheduledVm } from './schedule.ts';
import { areTestsOverdue } from './test-times.ts';

const AT_ONCE = 16;
/** All records of VMs are in one partition of an index, which takes 1,000 writes a second. */
const WRITES_AT_ONCE = 4;
/** How often the age of the oldest backup is told at most. */
const TOLD_SECONDS = 900;
/** What a tick of 180 s has for it, beside the runs that it begins. */
const POOLS_SECONDS = 15;
const LOOK: LookBound = { seconds: 12, singly: 1000 };
const HOUR_MS = 3_600_000;

/** How old the last backup of a VM is. */
export interface Age {
  readonly last: VerifiedBackup | undefined;
  /** Newer ones that are not there any more, or not as they were verified; the newest first. */
  readonly lost: readonly VerifiedBackup[];
  /** When somebody last saw that it is there; undefined before the first look. ISO 8601 UTC. */
  readonly lookedAt: string | undefined;
  /** How tests of its backups ended. */
  readonly tests: Tests;
  /** The age of the last backup; where there is none, the time since the VM was scheduled. */
  readonly ageHours: number;
}

/** A VM that schedules cover, with its last verified backup. */
export interface ProtectedVm extends CoveredVm, Age {
  /** From when its age counted at the moment that was asked for: that of the report's first page. ISO 8601 UTC. */
  readonly oldest: string;
  readonly overdue: boolean;
}

/** A VM that no schedule covers: there is no time since which a backup is missing. */
export interface OtherVm extends ScheduledVm, Omit<Age, 'ageHours'> {
  readonly ageHours: number | undefined;
}

/** How the VMs stand, and why something about them may not be as it is told. */
export interface Ages {
  readonly covered: readonly ProtectedVm[];
  readonly others: readonly OtherVm[];
  readonly away: PoolVms['away'];
  readonly problem: Reason | undefined;
}

/** Everything that is on record of VMs with backups, or that selectors name. */
export async function knownVms({ store }: Pick<BaseRuntime, 'store'>): Promise<Map<string, KnownVm>> {
  const known = new Map<string, KnownVm>();
  for await (const vm of store.backups.all()) known.set(vmKey(vm), vm);
  return known;
}

/**
 * Looks how old the last backups of VMs are: of those that are covered, and of others that are there.
 * @param covered the VMs whose schedules are asked about
 * @param others those beside them that no schedule covers
 * @param project whose backups count; all if absent
 * @param asOf the moment for `oldest`; now if absent. ISO 8601 UTC
 */
export async function agesOf(
  covered: readonly CoveredVm[],
  others: readonly ScheduledVm[],
  known: ReadonlyMap<string, KnownVm>,
  runtime: BaseRuntime,
  bound: LookBound,
  { project, asOf }: { readonly project?: string | undefined; readonly asOf?: string | undefined } = {},
): Promise<Pick<Ages, 'covered' | 'others' | 'problem'>> {
  const { store, clock } = runtime;
  const asked = await mapBounded(
    [...covered, ...others],
    AT_ONCE,
    // A VM that earlier versions have noted is not in the list.
    async (vm) => {
      const all = known.get(vmKey(vm)) ?? (await store.backups.of(vm.pool, vm.uuid));
      return project === undefined ? all : ownOf(project, all, runtime);
    },
  );
  const { vms, problem } = await lookAtBackups(asked, runtime, bound);
  const counting = new Set(asked.flatMap(({ backups }) => backups.map(({ imageId }) => imageId)));
  const now = clock.now();
  const then = asOf ?? now.toISOString();
  const { lookedAt: before } = await store.backups.look();
  const ages = vms.map((each, index) => {
    // What a look has noted is the whole record again.
    const vm = { ...each, backups: each.backups.filter(({ imageId }) => counting.has(imageId)) };
    const last = standing(vm);
    // Its verification was a look, too.
    const seen = [last?.verifiedAt, before].filter((time) => time !== undefined).sort();
    const lookedAt = vm.looked ? now.toISOString() : seen.at(-1);
    return {
      last,
      lost: lostBefore(vm),
      lookedAt,
      tests: asked[index]?.tests ?? {},
      stood: stoodAt(vm, then),
    };
  });
  const hoursSince = (time: string) => Math.max(0, now.getTime() - Date.parse(time)) / HOUR_MS;
  const ageAt = (index: number) =>
    ages[index] ?? { last: undefined, lost: [], lookedAt: undefined, tests: {}, stood: undefined };
  return {
    covered: covered.map((vm, index) => {
      const { stood, ...age } = ageAt(index);
      const ageHours = hoursSince(age.last?.verifiedAt ?? vm.since);
      return { ...vm, ...age, ageHours, overdue: ageHours > vm.overdueHours, oldest: stood ?? vm.since };
    }),
    others: others.map((vm, index) => {
      const { stood: _, ...age } = ageAt(covered.length + index);
      return { ...vm, ...age, ageHours: age.last && hoursSince(age.last.verifiedAt) };
    }),
    problem,
  };
}

/** When the backup was verified that stood at a moment, whatever has come or gone since. */
function stoodAt({ backups }: Pick<KnownVm, 'backups'>, then: string): string | undefined {
  return backups.find(
    ({ verifiedAt, lost }) => verifiedAt <= then && (lost === undefined || lost.foundAt > then),
  )?.verifiedAt;
}

/** What is on record of a VM as far as it is of a project's own backups. */
async function ownOf(project: string, all: KnownVm, runtime: Pick<BaseRuntime, 'store'>): Promise<KnownVm> {
  const { proven, failed } = all.tests ?? {};
  const tests = {
    ...(proven?.project === project && { proven }),
    ...(failed?.project === project && { failed }),
  };
  return { ...all, backups: await backupsOf(project, all, runtime), tests };
}

/**
 * The backups of a VM that a project's own jobs have made: what others have of the same VM is not for it to know, nor
 * can it be restored from.
 */
async function backupsOf(
  project: string,
  { backups }: KnownVm,
  { store }: Pick<BaseRuntime, 'store'>,
): Promise<VerifiedBackup[]> {
  const own: VerifiedBackup[] = [];
  for (const backup of backups) {
    // What an earlier version has noted does not say whose it is; the job does, as long as it is on record.
    const of =
      backup.project === undefined ? (await store.jobs.get(backup.imageId))?.project : backup.project;
    if (of === project) own.push(backup);
  }
  return own;
}

/**
 * Tells the age of the oldest last backup of all scheduled VMs, and how many schedules' tests are overdue, for the
 * alarms; every 15 minutes at most. Looks before which VMs are scheduled now, and which of their backups are there.
 */
export async function tellAges(runtime: BaseRuntime, vmsOf: VmsOf): Promise<void> {
  const { store, clock, metrics } = runtime;
  const now = clock.now();
  if (!(await store.schedules.takeAges(now, new Date(now.getTime() - TOLD_SECONDS * 1000)))) return;
  const schedules = await store.schedules.all();
  if (schedules.some(({ restoreTest }) => restoreTest))
    metrics.count(
      'RestoreTestsOverdue',
      schedules.filter((schedule) => areTestsOverdue(schedule, now)).length,
    );
  const selecting = schedules.some(({ enabled, vm }) => enabled && !vm);
  const pools: PoolVms = selecting
    ? await vmsOfPools(runtime, vmsOf, POOLS_SECONDS)
    : { vms: new Map(), away: [] };
  const known = await knownVms(runtime);
  const covered = coveredBy(schedules, pools, known, { config: runtime.config, now });
  await noteSelected(covered, pools, known, runtime);
  const { covered: vms } = await agesOf([...covered.values()], [], known, runtime, LOOK);
  if (vms.length > 0)
    metrics.hours(
      'VerifiedBackupAgeHours',
      vms.reduce((oldest, { ageHours }) => Math.max(oldest, ageHours), 0),
    );
}

/** Schedules by which a VM is selected that are on its record; more of them say nothing more. */
const MOST_BY = 20;

/** Puts on record since when selectors name a VM, and which of them: of a pool that is away this is what is known. */
async function noteSelected(
  covered: ReadonlyMap<string, CoveredVm>,
  { away }: PoolVms,
  known: ReadonlyMap<string, KnownVm>,
  { store }: Pick<BaseRuntime, 'store'>,
): Promise<void> {
  const awayPools = new Set(away.map(({ pool }) => pool));
  const changed = [...covered.values()].flatMap(({ pool, uuid, name, since, by }) => {
    if (by.length === 0 || awayPools.has(pool)) return [];
    const selected = { name, since, by: [...by].sort().slice(0, MOST_BY) };
    const before = known.get(vmKey({ pool, uuid }))?.selected;
    return JSON.stringify(before) === JSON.stringify({ ...before, ...selected })
      ? []
      : [{ pool, uuid, selected }];
  });
  const ended = [...known.values()].flatMap(({ pool, uuid, selected }) => {
    const still = awayPools.has(pool) || (covered.get(vmKey({ pool, uuid }))?.by.length ?? 0) > 0;
    return selected && !still ? [{ pool, uuid, selected: undefined }] : [];
  });
  await mapBounded([...changed, ...ended], WRITES_AT_ONCE, ({ pool, uuid, selected }) =>
    store.backups.select(pool, uuid, selected),
  );
}
