import type { ImageRecord } from '../../local/glance/records.ts';
import { leftBehind } from '../../local/leftovers.ts';
import type { PoolInventory, SimulatedPool } from '../../local/pool/pool.ts';

/** As much of a job as the API and the table both tell. */
export interface Told {
  readonly id: string;
  readonly status: string;
  readonly finishedAt?: string | null;
  readonly owes: readonly string[];
  /** A later backup's rotation deleted the image, or its owner did. */
  readonly imageGone: boolean;
}

/**
 * What is wrong with jobs of which none should be under way any more, a line each: every job has one outcome and owes
 * nothing, and Glance has of each that succeeded its one image, active and verified, and of the others none.
 * @param foreign ids of images that are nobody's job
 */
export function wrongWithJobs(
  jobs: readonly Told[],
  images: readonly ImageRecord[],
  foreign: ReadonlySet<string> = new Set(),
): string[] {
  const wrong: string[] = [];
  const wanted = new Set<string>();
  for (const { id, status, finishedAt, owes, imageGone } of jobs) {
    if (!finishedAt || !OUTCOMES.has(status)) wrong.push(`job ${id}: ${status}, without an end`);
    if (owes.length > 0) wrong.push(`job ${id}: ${status}, owes ${owes.join(', ')}`);
    if (status !== 'succeeded' || imageGone) continue;
    wanted.add(id);
    const image = images.find((each) => each.id === id);
    if (image?.status !== 'active' || image.properties.xensnap_verified !== 'true')
      wrong.push(`job ${id}: succeeded, its image is ${image?.status ?? 'gone'}`);
  }
  for (const { id, status } of images)
    if (!wanted.has(id) && !foreign.has(id)) wrong.push(`image ${id}: ${status}, of no job that succeeded`);
  return wrong;
}

const OUTCOMES: ReadonlySet<string> = new Set(['succeeded', 'failed', 'cancelled']);

/** What is in the pool that was not there before, a line each. Sessions of a process that was killed stay for a day. */
export function leftInPool(before: PoolInventory, now: PoolInventory): string[] {
  const around = (pool: PoolInventory) => ({ pool, leases: [], slots: [], openJobs: [], queue: 0 });
  return leftBehind(around(before), around({ ...now, sessions: before.sessions }));
}

/** What is somebody else's, by UUID. */
export interface Foreign {
  readonly snapshots: ReadonlySet<string>;
  readonly snapshotDisks: ReadonlySet<string>;
  readonly destroyed: ReadonlySet<string>;
}

const OURS = 'xensnap';

/**
 * What is wrong with a pool whose VMs others have worked with meanwhile, a line each: there is nothing but what was there
 * before and what is theirs, and none of that is gone; every VM is locked, and nothing but their own snapshots carries a
 * tag of ours, which they have copied.
 */
export function wrongInPool(
  pool: SimulatedPool,
  before: PoolInventory,
  now: PoolInventory,
  foreign: Foreign,
) {
  const wrong: string[] = [];
  const known = new Set([...before.vms.map(({ uuid }) => uuid), ...foreign.snapshots]);
  const there = new Set(now.vms.map(({ uuid }) => uuid));
  for (const uuid of known)
    if (!there.has(uuid) && !foreign.destroyed.has(uuid)) wrong.push(`VM or snapshot ${uuid}: gone`);
  for (const { uuid, name, isSnapshot, otherConfig } of now.vms) {
    if (!known.has(uuid)) wrong.push(`VM "${name}" ${uuid}: left`);
    if (!isSnapshot) wrong.push(...tagsOn(`VM "${name}"`, otherConfig));
  }
  const disks = new Set(now.vdis.map(({ uuid }) => uuid));
  for (const uuid of foreign.snapshotDisks)
    if (!disks.has(uuid)) wrong.push(`disk ${uuid} of the operator's snapshot: gone`);
  const holders = holdersOfDisks(pool);
  for (const { uuid, name, otherConfig } of now.vdis) {
    const vms = holders.get(uuid) ?? [];
    if (vms.length === 0) wrong.push(`disk "${name}" ${uuid}: left`);
    if (vms.some(({ is_a_snapshot }) => is_a_snapshot === false))
      wrong.push(...tagsOn(`disk "${name}"`, otherConfig));
  }
  for (const file of Object.values(now.files).flat())
    if (!disks.has(file.replace(/\.vhd$/, ''))) wrong.push(`file ${file}: left`);
  for (const { uuid, name } of pool.vms())
    for (const [where, lock] of Object.entries(now.locks[uuid] ?? {}))
      if (lock !== 'false' && (where === 'database' || pool.vm(uuid).liveXenstore()))
        wrong.push(`VM "${name}": the lock is ${lock} in the ${where}`);
  for (const what of ['tasks', 'secrets', 'attached'] as const)
    if (now[what].length > 0) wrong.push(`${what}: ${now[what].join(', ')}`);
  if (now.plugins > 0) wrong.push(`plugins: ${now.plugins}`);
  return wrong;
}

function tagsOn(what: string, otherConfig: Readonly<Record<string, string>>): string[] {
  return Object.keys(otherConfig)
    .filter((key) => key.startsWith(OURS))
    .map((key) => `${what}: the tag ${key}`);
}

/** The VMs and snapshots that have each disk, by its UUID. */
function holdersOfDisks(pool: SimulatedPool): Map<string, ReturnType<SimulatedPool['record']>[]> {
  const holders = new Map<string, ReturnType<SimulatedPool['record']>[]>();
  const [vms, vdis] = [pool.records('VM'), pool.records('VDI')];
  for (const { VM, VDI } of Object.values(pool.records('VBD'))) {
    const [vm, vdi] = [vms[String(VM)], vdis[String(VDI)]];
    if (vm && vdi) holders.set(String(vdi.uuid), [...(holders.get(String(vdi.uuid)) ?? []), vm]);
  }
  return holders;
}
