import { mapBounded } from '../bounded.ts';
import type { Reason } from '../errors.ts';
import { type BackupSet, deviceOf, judgeBackups, listBackups, type Verdict } from '../rotation.ts';
import type { Runtime } from '../runtime/executions.ts';
import { askOnce } from './pool-vms.ts';
import type { Schedule, ScheduledVm } from './schedule.ts';
import { selectVms } from './select.ts';

const LISTS_AT_ONCE = 4;
/** No further VM is begun with after so long: API Gateway waits for 29 s, and the pools have had some of them. */
const MOST_SECONDS = 10;

/** What a rotation by the schedule's number would do now. */
export interface Retention {
  /** Those that there was time for. */
  readonly vms: readonly (ScheduledVm & { readonly verdicts: readonly Verdict[] })[];
  /** Pools whose VMs are not known, because they did not answer. */
  readonly unasked: readonly { readonly pool?: string; readonly reason: Reason }[];
  /** VMs that no time was left for. */
  readonly left: number;
}

/**
 * Judges the backups of a schedule's VMs as a rotation would, and deletes nothing.
 * @param chosen which of the VMs, and in which order; Glance is asked for a list of each
 * @throws when a list fails
 */
export async function judgeRetention(
  schedule: Schedule,
  chosen: (vms: readonly ScheduledVm[]) => readonly ScheduledVm[],
  runtime: Runtime,
): Promise<Retention> {
  const { clock } = runtime;
  const { vms: selected, unasked } = await selectVms(schedule, runtime, askOnce(runtime));
  const vms = chosen(selected);
  const until = clock.now().getTime() + MOST_SECONDS * 1000;
  const judged = await mapBounded(vms, LISTS_AT_ONCE, async (vm) =>
    clock.now().getTime() > until ? undefined : { ...vm, verdicts: await judge(vm, schedule, runtime) },
  );
  // Those that were begun with are the first of all.
  const done = judged.filter((vm) => vm !== undefined);
  return { vms: done, unasked, left: vms.length - done.length };
}

async function judge(
  { pool, uuid }: ScheduledVm,
  { id, backupType: type, device, project, keep }: Schedule,
  { glance, store, config }: Runtime,
): Promise<Verdict[]> {
  const { installation } = config;
  const { backups: verified } = await store.backups.of(pool, uuid);
  const set: BackupSet = {
    installation,
    pool,
    vmUuid: uuid,
    type,
    verified,
    ...(project !== undefined && { project }),
  };
  const images = await listBackups(glance, set);
  const sorted = judgeBackups(images, set, keep);
  // Which disk a VM boots from is told by the newest backup that this schedule has made of it.
  const own = sorted.find(({ image }) => image.properties.xensnap_schedule === id);
  const disk = device ?? (own && deviceOf(own.image));
  const ofDisk: BackupSet = { ...set, ...(disk !== undefined && { device: disk }) };
  // A rotation knows the backups' owner from the image that its job made; this knows it from the newest of them.
  for (const { image, action } of judgeBackups(images, ofDisk, keep)) {
    if (action === 'ignore') break;
    const job = await store.jobs.get(image.id);
    if (job?.committed) return judgeBackups(images, { ...ofDisk, owner: image.owner }, keep);
  }
  return judgeBackups(images, ofDisk, keep);
}
