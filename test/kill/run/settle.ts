import type { Job } from '../../../functions/job.ts';
import type { ImageRecord } from '../../../local/glance/records.ts';
import type { Surroundings } from '../../../local/leftovers.ts';
import { RUNS, type RunName } from '../cells/cell.ts';
import type { World } from '../world.ts';
import { hasRestored, restoredWrong, takeRestoredAway, withoutRestored } from './restored.ts';
import { type Allowed, imagesWrong, leftOf } from './rules.ts';
import { ended, PATH, type Subject, wishOf } from './runs.ts';
import type { Stage } from './stage.ts';

/** As many of the janitor's rounds as may be needed. */
const ROUNDS = 2;
/** How long a job that is just starting is left alone, and somewhat more. */
const STARTING_SECONDS = 130;

/**
 * Lets reconcile, and where something is left the janitor, do their work; answers what is left then.
 * @param images those that were there before
 */
export async function settle(
  { world, original }: Pick<Stage, 'world' | 'original'>,
  before: Surroundings,
  images: readonly ImageRecord[],
  allowed: Allowed,
  job: () => Promise<Job | undefined>,
): Promise<string[]> {
  for (let round = 0; ; round += 1) {
    await world.service.settled();
    const [now, of] = [await world.lookAround(), await job()];
    const rest = hasRestored(of) ? withoutRestored(before, now, of) : now;
    const restored = hasRestored(of) ? await restoredWrong(world, of, original) : [];
    const left = [...leftOf(before, rest, allowed), ...imagesWrong(world, of, images), ...restored];
    if (left.length === 0 || round === ROUNDS) return left;
    await world.clock.sleep(STARTING_SECONDS);
    await world.janitor();
  }
}

/** The next request of the kind is taken, and its job succeeds. */
export async function nextJobWrong(world: World, run: RunName, subject: Subject): Promise<string[]> {
  const { status, body } = await world.ask('POST', PATH[RUNS[run]], wishOf(run, subject));
  if (status !== 202) return [`the next request: ${status} ${body?.error?.name}: ${body?.error?.message}`];
  await ended(world, body.id);
  const job = await world.service.runtime.store.jobs.get(body.id);
  if (hasRestored(job)) await takeRestoredAway(world, job);
  if (job?.status === 'succeeded') return [];
  return [`the next job ${job?.status}: ${job?.error?.name}: ${job?.error?.message}`];
}
