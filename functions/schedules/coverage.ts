import { mapBounded, within } from '../bounded.ts';
import { type Reason, XensnapError } from '../errors.ts';
import { nameOfVm } from '../pool/vm-name.ts';
import { allowedVms } from '../projects.ts';
import type { BaseRuntime } from '../runtime/base.ts';
import type { KnownVm } from '../store/backups.ts';
import { asJobError, translateOfPool } from '../translate.ts';
import type { VmFacts, VmsOf } from './pool-vms.ts';
import type { Schedule, ScheduledVm, Selector } from './schedule.ts';
import { poolsOf, selects } from './select.ts';
import { nextNominal } from './timing.ts';

/** The VMs of the pools as they are now, and the pools that did not tell theirs. */
export interface PoolVms {
  readonly vms: ReadonlyMap<string, readonly VmFacts[]>;
  readonly away: readonly { readonly pool: string; readonly reason: Reason }[];
}

/** Asks every pool at once; one that takes longer than `seconds` counts as away. */
export async function vmsOfPools(
  { config }: Pick<BaseRuntime, 'config'>,
  vmsOf: VmsOf,
  seconds: number,
): Promise<PoolVms> {
  const vms = new Map<string, readonly VmFacts[]>();
  const away: { pool: string; reason: Reason }[] = [];
  const pools = config.pools.filter(({ driver }) => driver === 'xenapi');
  await mapBounded(pools, pools.length, async ({ name: pool }) => {
    try {
      const records = await within(seconds, vmsOf(pool), undefined);
      if (!records) throw new XensnapError('XapiBusy', `it does not tell its VMs within ${seconds} s.`);
      vms.set(pool, records);
    } catch (error) {
      away.push({ pool, reason: asJobError(translateOfPool(pool, error)) });
    }
  });
  return { vms, away };
}

/** A VM that enabled schedules with a next time cover. */
export interface CoveredVm extends ScheduledVm {
  /** Since when it is scheduled: the age that counts while the VM has no backup. */
  readonly since: string;
  /** The selectors' schedules that name it, in order. */
  readonly by: readonly string[];
  /** Hours after which a backup is overdue: twice the longest time between two of the next runs. */
  readonly overdueHours: number;
}

interface Covering extends Pick<BaseRuntime, 'config'> {
  readonly now: Date;
  /** Wanted by callers that ask what is overdue; see {@link overdueAfter}. */
  readonly hoursOf?: (schedule: Schedule) => number;
}

export const vmKey = ({ pool, uuid }: Pick<ScheduledVm, 'pool' | 'uuid'>) => `${pool}#${uuid}`;

/**
 * The VMs that schedules cover now, each once. Those of a selector are looked for in the pools as they are; of a pool
 * that is away, those that the selector named the last time that it was not.
 */
export function coveredBy(
  schedules: readonly Schedule[],
  pools: PoolVms,
  known: ReadonlyMap<string, KnownVm>,
  { config, now, hoursOf = () => Number.POSITIVE_INFINITY }: Covering,
): Map<string, CoveredVm> {
  const covered = new Map<string, CoveredVm>();
  const add = (vm: ScheduledVm, since: string, by: readonly string[], overdueHours: number) => {
    const before = covered.get(vmKey(vm));
    covered.set(vmKey(vm), {
      ...{ pool: vm.pool, uuid: vm.uuid, name: vm.name },
      since: before && before.since < since ? before.since : since,
      by: [...(before?.by ?? []), ...by],
      overdueHours: Math.min(before?.overdueHours ?? Number.POSITIVE_INFINITY, overdueHours),
    });
  };
  for (const schedule of schedules) {
    if (!schedule.enabled || schedule.nextAt === undefined) continue;
    const hours = hoursOf(schedule);
    if (schedule.vm) add(schedule.vm, schedule.createdAt, [], hours);
    else
      for (const vm of selectedBy(schedule, pools, known, config)) {
        const since = known.get(vmKey(vm))?.selected?.since ?? now.toISOString();
        add(vm, since < schedule.createdAt ? schedule.createdAt : since, [schedule.id], hours);
      }
  }
  return covered;
}

function* selectedBy(
  schedule: Schedule,
  { vms }: PoolVms,
  known: ReadonlyMap<string, KnownVm>,
  config: BaseRuntime['config'],
): Generator<ScheduledVm> {
  const { id, selector = {}, project } = schedule;
  const allows = isKnown(project, config) ? allowedVms(project, config) : () => false;
  const fits = matcherOf(selector);
  const away = new Set<string>();
  for (const { name: pool } of poolsOf(selector, config)) {
    const records = vms.get(pool);
    if (!records) away.add(pool);
    for (const record of records ?? [])
      if (allows(record) && fits(record)) yield { pool, uuid: record.uuid, name: nameOfVm(record) };
  }
  if (away.size === 0) return;
  for (const { pool, uuid, selected } of known.values())
    if (away.has(pool) && selected?.by.includes(id)) yield { pool, uuid, name: selected.name };
}

/** A selector of an earlier version that cannot be used covers nothing: its run says why. */
function matcherOf(selector: Selector): (vm: VmFacts) => boolean {
  try {
    return selects(selector);
  } catch {
    return () => false;
  }
}

/** A project that the configuration no longer knows has no VMs. */
function isKnown(project: string | undefined, { projects = {} }: BaseRuntime['config']): boolean {
  return project === undefined || Object.hasOwn(projects, project);
}

const HOUR_MS = 3_600_000;
/** Next times that are looked at: a week of daily ones, so that a weekend without any is seen. */
const TIMES = 8;
/** What a job may take beside. */
const GRACE_HOURS = 1;

/** Reckons after how many hours a schedule's backups are overdue; equal timings, of which there may be very many, once. */
export function overdueAfter(): (schedule: Schedule) => number {
  const reckoned = new Map<string, number>();
  return (schedule) => {
    const { timing, timeZone, flexibleMinutes, nextAt = '' } = schedule;
    const of = JSON.stringify([timing, timeZone, flexibleMinutes, 'rate' in timing ? schedule.anchor : '']);
    const before = reckoned.get(of);
    if (before !== undefined) return before;
    let [last, longest] = [Date.parse(nextAt), 0];
    for (let n = 1; n < TIMES; n++) {
      const next = nextNominal(schedule, last);
      if (next === undefined) break;
      longest = Math.max(longest, next - last);
      last = next;
    }
    // A schedule with a single run left does not tell how old a backup may be.
    const hours = longest === 0 ? Number.POSITIVE_INFINITY : (2 * longest) / HOUR_MS;
    const all = hours + flexibleMinutes / 60 + GRACE_HOURS;
    reckoned.set(of, all);
    return all;
  };
}
