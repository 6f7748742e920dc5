import type { Surroundings } from '../../../local/leftovers.ts';
import type { World } from '../world.ts';
import { type Allowed, leftOf } from './rules.ts';
import { ended } from './runs.ts';

/** As many of the janitor's rounds as may be needed. */
const ROUNDS = 2;
/** How long a job that is just starting is left alone, and somewhat more. */
const STARTING_SECONDS = 130;

/**
 * Lets reconcile, and where something is left the janitor, do their work; answers what is left then.
 * @param images what is wrong with the images at this moment
 */
export async function settle(
  world: World,
  before: Surroundings,
  allowed: Allowed,
  images: () => Promise<string[]>,
): Promise<string[]> {
  for (let round = 0; ; round += 1) {
    await world.service.settled();
    const left = [...leftOf(before, await world.lookAround(), allowed), ...(await images())];
    if (left.length === 0 || round === ROUNDS) return left;
    await world.clock.sleep(STARTING_SECONDS);
    await world.janitor();
  }
}

/** The VM is free: the next request for it is taken, and its job succeeds and leaves nothing. */
export async function nextJobWrong(world: World, vm: string, more: object): Promise<string[]> {
  const { status, body } = await world.ask('POST', '/snapshots', { vm, ...more });
  if (status !== 202) return [`the next request: ${status} ${body?.error?.name}: ${body?.error?.message}`];
  const job = await world.job(body.id);
  await ended(world, body.id);
  if (job.status === 'succeeded') return [];
  return [`the next job ${job.status}: ${job.error?.name}: ${job.error?.message}`];
}
