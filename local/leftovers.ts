import { isDeepStrictEqual } from 'node:util';
import { hostGroup, slotsOfHost } from '../functions/store/counters.ts';
import type { SimulatedPool } from './pool/pool.ts';
import type { LocalService } from './service.ts';

/** Everything that a job could leave behind, in the simulated pool and in the service. */
export interface Surroundings {
  readonly pool: Awaited<ReturnType<SimulatedPool['inventory']>>;
  readonly leases: readonly string[];
  readonly slots: readonly string[];
  readonly openJobs: readonly string[];
  readonly queue: number;
}

/** A plugin that is still there after that is left behind. */
const EXIT_SECONDS = 5;

/** Looks at everything that a job could leave behind. `pool` is the pool's name in the service. */
export async function lookAround(
  service: Pick<LocalService, 'runtime' | 'queue'>,
  pool: SimulatedPool,
  poolName: string,
): Promise<Surroundings> {
  const { store } = service.runtime;
  const leases = await Promise.all(pool.vms().map(({ uuid }) => store.leases.holderOfVm(poolName, uuid)));
  const slots = await Promise.all(
    pool.hosts.map(({ uuid }) => store.counters.holders(slotsOfHost(hostGroup(poolName, uuid)))),
  );
  const jobs: string[] = [];
  for await (const { id } of store.jobs.open()) jobs.push(id);
  const { waiting, inFlight } = await service.queue.depth();
  await pool.pluginsEnded(EXIT_SECONDS);
  return {
    pool: await pool.inventory(),
    leases: leases.filter((job) => job !== undefined),
    slots: slots.flat(),
    openJobs: jobs,
    queue: waiting + inFlight,
  };
}

/** What is there after a job that was not there before, a line each; empty: nothing is left behind. */
export function leftBehind(before: Surroundings, after: Surroundings): string[] {
  const found: string[] = [];
  const parts: [string, unknown, unknown][] = [
    ...Object.entries(after.pool).map(([name, now]): [string, unknown, unknown] => [
      `pool: ${name}`,
      before.pool[name as keyof Surroundings['pool']],
      now,
    ]),
    ['leases', before.leases, after.leases],
    ['slots', before.slots, after.slots],
    ['open jobs', before.openJobs, after.openJobs],
    ['messages in the queue', before.queue, after.queue],
  ];
  for (const [name, was, is] of parts)
    if (!isDeepStrictEqual(was, is)) found.push(`${name}: ${describe(was, is)}`);
  return found;
}

function describe(was: unknown, is: unknown): string {
  const [before, after] = [entriesOf(was), entriesOf(is)];
  if (!before || !after) return `was ${JSON.stringify(was)}, is ${JSON.stringify(is)}`;
  const without = (entries: readonly unknown[], others: readonly unknown[]) =>
    entries.filter((entry) => !others.some((other) => isDeepStrictEqual(entry, other)));
  return [
    ...without(after, before).map((entry) => `more: ${JSON.stringify(entry)}`),
    ...without(before, after).map((entry) => `gone: ${JSON.stringify(entry)}`),
  ].join('; ');
}

/** The parts that are compared one by one: a list's items, a map's entries with their lists taken apart. */
function entriesOf(value: unknown): unknown[] | undefined {
  if (Array.isArray(value)) return value;
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.entries(value).flatMap(([key, item]) =>
    Array.isArray(item) ? item.map((each) => [key, each]) : [[key, item]],
  );
}
