import { mapBounded } from '../bounded.ts';
import type { BaseRuntime } from '../runtime/base.ts';
import type { LastBackup } from '../store/backups.ts';
import type { Schedule, ScheduledVm } from './schedule.ts';

const READS_AT_ONCE = 16;
/** How often the age of the oldest backup is told at most. */
const TOLD_SECONDS = 900;
const HOUR_MS = 3_600_000;

/** A VM of an enabled schedule, with its last verified backup. */
export interface ProtectedVm extends ScheduledVm {
  /** Since when it is scheduled: so old is what a VM without a backup lacks. */
  readonly since: string;
  readonly last: LastBackup | undefined;
  readonly ageHours: number;
}

/** The VMs of schedules, each once. Those of a selector are known once it has been due. */
export async function protectedVms(
  schedules: readonly Schedule[],
  { store, clock }: Pick<BaseRuntime, 'store' | 'clock'>,
): Promise<ProtectedVm[]> {
  const vms = new Map<string, ScheduledVm & { since: string }>();
  for (const { enabled, vm, createdAt, known = [] } of schedules) {
    if (!enabled) continue;
    for (const each of vm ? [{ ...vm, since: createdAt }] : known) {
      const before = vms.get(`${each.pool}/${each.uuid}`);
      if (!before || each.since < before.since) vms.set(`${each.pool}/${each.uuid}`, each);
    }
  }
  const now = clock.now().getTime();
  return mapBounded([...vms.values()], READS_AT_ONCE, async (vm) => {
    const last = await store.backups.last(vm.pool, vm.uuid);
    return { ...vm, last, ageHours: Math.max(0, now - Date.parse(last?.verifiedAt ?? vm.since)) / HOUR_MS };
  });
}

/** Tells the age of the oldest last backup of all scheduled VMs, for the alarm; every 15 minutes at most. */
export async function tellAges(runtime: BaseRuntime): Promise<void> {
  const { store, clock, metrics } = runtime;
  const now = clock.now();
  if (!(await store.schedules.takeAges(now, new Date(now.getTime() - TOLD_SECONDS * 1000)))) return;
  const vms = await protectedVms(await store.schedules.all(), runtime);
  if (vms.length > 0)
    metrics.hours('VerifiedBackupAgeHours', Math.max(...vms.map(({ ageHours }) => ageHours)));
}
