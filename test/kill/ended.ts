import type { ImageRecord } from '../../local/glance/records.ts';
import { leftBehind } from '../../local/leftovers.ts';
import type { PoolInventory } from '../../local/pool/pool.ts';

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
