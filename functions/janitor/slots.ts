import { mapBounded } from '../bounded.ts';
import { poolConfig } from '../config.ts';
import { releaseSlotOf } from '../queue/wake.ts';
import { giveBack, quotaOf } from '../quota.ts';
import type { Runtime } from '../runtime/executions.ts';
import { hostGroup, slotsOfHost, slotsOfSr } from '../store/counters.ts';
import { translate } from '../translate.ts';
import type { Finding } from './finding.ts';
import { alone, isClosed } from './round.ts';

/** Slots that closed jobs still hold on the pool's hosts. */
export async function sweepSlots(pool: string, runtime: Runtime, dryRun: boolean): Promise<Finding[]> {
  const findings: Finding[] = [];
  const hosts = await runtime
    .withSession(pool, (xapi) => xapi.call('host.get_all_records'))
    .catch(() => ({}));
  const { srSlots } = poolConfig(runtime.config, pool);
  const places = [
    ...Object.values(hosts).map(({ uuid }) => slotsOfHost(hostGroup(pool, uuid))),
    ...Object.keys(srSlots).map((uuid) => slotsOfSr(pool, uuid)),
  ];
  for (const place of places)
    findings.push(
      ...(await alone({ kind: 'slot', pool, id: place }, async () => {
        const found: Finding[] = [];
        for (const jobId of await runtime.store.counters.holders(place)) {
          if (!(await isClosed(jobId, runtime))) continue;
          if (!dryRun) await releaseSlotOf(place, jobId, runtime);
          const what = `a closed job holds a slot of ${place}`;
          found.push({ kind: 'slot', pool, id: jobId, what, action: dryRun ? 'would' : 'removed' });
        }
        return found;
      })),
    );
  return findings;
}

/** Records that are read at a time. */
const AT_ONCE = 16;

/**
 * Places among a project's schedules and open jobs that nothing has: a process that died between taking one and putting
 * on record what it was for. Nothing of it is anybody's concern, so that it is no finding.
 */
export async function sweepQuotas({ store, config, log }: Runtime): Promise<void> {
  const isNobodys = {
    jobs: async (id: string) => (await store.jobs.get(id))?.open === undefined,
    schedules: async (id: string) => (await store.schedules.get(id)) === undefined,
  };
  for (const project of Object.keys(config.projects ?? {}))
    for (const kind of ['jobs', 'schedules'] as const)
      try {
        await mapBounded(await store.counters.holders(quotaOf(kind, project)), AT_ONCE, async (id) => {
          if (await isNobodys[kind](id)) await giveBack(kind, project, id, { store });
        });
      } catch (error) {
        log.warn('places of a project could not be looked at', {
          project,
          kind,
          reason: translate(error).message,
        });
      }
}
