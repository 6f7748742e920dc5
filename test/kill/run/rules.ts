import { isDeepStrictEqual } from 'node:util';
import { ERROR_STATUS } from '../../../functions/errors.ts';
import type { Job, RestoreJob } from '../../../functions/job.ts';
import { readRestoreTested, TESTED_PROPERTY } from '../../../functions/restore-tested.ts';
import type { ImageRecord } from '../../../local/glance/records.ts';
import { leftBehind, type Surroundings } from '../../../local/leftovers.ts';
import type { World } from '../world.ts';

/** What a cell may leave, beside nothing. */
export interface Allowed {
  /** Sessions of a process that was killed, or whose login or logout was what failed. */
  readonly sessions: boolean;
  /** The task of a VM's start: of one whose reference was lost, nothing says whose it was; xapi keeps it for an hour. */
  readonly startTask: boolean;
  /** The name of a host that died, so that its VMs are halted, and which may have left the pool. */
  readonly deadHost?: string | undefined;
}

/** What is there now that was not before, or is no more; a line each. */
export function leftOf(before: Surroundings, after: Surroundings, allowed: Allowed): string[] {
  // Fewer are those of an earlier cell, which a restart of xapi has ended.
  const sessions = allowed.sessions || after.pool.sessions < before.pool.sessions;
  const tasks = after.pool.tasks.filter((task) => !(allowed.startTask && /\bAsync\.VM\.start/.test(task)));
  const pool = { ...after.pool, tasks, ...(sessions && { sessions: before.pool.sessions }) };
  if (allowed.deadHost === undefined) return leftBehind(before, { ...after, pool });
  const isGone = ({ uuid, name }: { uuid: string; name: string }) =>
    name.endsWith(`on host: ${allowed.deadHost}`) && !pool.vms.some((vm) => vm.uuid === uuid);
  const gone = new Set(before.pool.vms.filter(isGone).map(({ uuid }) => uuid));
  const locks = Object.entries(before.pool.locks).filter(([uuid]) => !gone.has(uuid));
  const was = {
    ...before.pool,
    vms: before.pool.vms.filter(({ uuid }) => !gone.has(uuid)),
    locks: Object.fromEntries(locks),
  };
  return leftBehind(
    { ...before, pool: was },
    { ...after, pool: { ...pool, locks: withoutHalted(before, after) } },
  );
}

/** Of a VM that does not run any more there is no live key; the database's counts. */
function withoutHalted(before: Surroundings, after: Surroundings): Surroundings['pool']['locks'] {
  const entries = Object.entries(after.pool.locks).map(([uuid, { live, database }]) => {
    const was = before.pool.locks[uuid]?.live ?? null;
    return [uuid, { live: live ?? was, database }] as const;
  });
  return Object.fromEntries(entries);
}

/**
 * The images that there are for a job: of a snapshot one that is whole and verified, if it succeeded, and otherwise
 * none; of a restore none. Those that were there are as they were.
 */
export function imagesWrong(world: World, job: Job | undefined, before: readonly ImageRecord[]): string[] {
  const images = world.glance.images();
  const found: string[] = [];
  for (const was of before) {
    const is = images.find(({ id }) => id === was.id);
    // A backup goes with the next one.
    if (is ? !isDeepStrictEqual(...unmarked(is, was, job)) : was.properties.image_type !== 'backup')
      found.push(`the image ${was.id}, which was there before, ${is ? 'was changed' : 'is gone'}`);
  }
  if (job?.machine === 'restore' && job.request.test) found.push(...markWrong(images, job));
  for (const { id, status, properties } of images) {
    if (id === job?.id) {
      if (job.status !== 'succeeded') found.push(`the image of a job that ${job.status} is there, ${status}`);
      else if (status !== 'active' || properties.xensnap_verified !== 'true')
        found.push(`the image is ${status}, verified: ${properties.xensnap_verified}`);
    } else if (!before.some((was) => was.id === id))
      found.push(`an image ${id} that no answer told of is there, ${status}`);
  }
  if (job?.machine === 'snapshot' && job.status === 'succeeded' && !images.some(({ id }) => id === job.id))
    found.push('the job succeeded, and its image is not there');
  if (world.glance.uploads().length > 0) found.push('an upload is still under way');
  return found;
}

/** The image that a job has tested, now and before, without how a test of it ended. */
function unmarked(is: ImageRecord, was: ImageRecord, job: Job | undefined): [ImageRecord, ImageRecord] {
  if (job?.machine !== 'restore' || !job.request.test || job.request.image !== is.id) return [is, was];
  const without = ({ properties, ...image }: ImageRecord): ImageRecord => {
    const { [TESTED_PROPERTY]: _, ...rest } = properties;
    return { ...image, updated_at: was.updated_at, properties: rest };
  };
  return [without(is), without(was)];
}

/** What the image says of its test is how that ended, if it says anything of it. */
function markWrong(images: readonly ImageRecord[], job: RestoreJob): string[] {
  const image = images.find(({ id }) => id === job.request.image);
  const mark = readRestoreTested(image?.properties[TESTED_PROPERTY]);
  if (!mark || mark.at < job.createdAt) return [];
  const said = 'reached' in mark ? `proved (${mark.reached})` : mark.failed;
  const isTrue =
    'reached' in mark
      ? job.status === 'succeeded' && mark.reached === job.reached
      : job.error?.name === mark.failed;
  return isTrue ? [] : [`the image says of its test: ${said}; it ${job.status} ${job.error?.name}`];
}

/** The outcome as it was told: once, and for a cause that is documented. */
export function outcomeWrong(world: World, job: Job): string[] {
  const found: string[] = [];
  const told = world.logs.filter((line) => line.includes('"job ended"') && line.includes(job.id)).length;
  if (told > 1) found.push(`its outcome was told ${told} times`);
  if (job.finishedAt === undefined) found.push('it has no outcome');
  if (job.open !== undefined) found.push(`it is still open, and owes ${[...(job.debts ?? [])].join(', ')}`);
  if (job.status === 'succeeded' && job.error) found.push(`it succeeded with the error ${job.error.name}`);
  if (job.status !== 'succeeded' && !job.error) found.push(`it ${job.status} without a cause`);
  if (job.error && !isDocumented(job.error.name)) found.push(`nobody documented ${job.error.name}`);
  return found;
}

export function isDocumented(name: string): boolean {
  return Object.hasOwn(ERROR_STATUS, name);
}
