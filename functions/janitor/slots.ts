import { poolConfig } from '../config.ts';
import type { Job } from '../job.ts';
import type { Runtime } from '../runtime/executions.ts';
import type { SlotPlace } from '../store/slots.ts';
import type { Finding } from './finding.ts';

/** Slots that closed jobs still hold on the pool's hosts. */
export async function sweepSlots(pool: string, runtime: Runtime, dryRun: boolean): Promise<Finding[]> {
  const findings: Finding[] = [];
  const hosts = await runtime
    .withSession(pool, (xapi) => xapi.call('host.get_all_records'))
    .catch(() => ({}));
  const { srSlots } = poolConfig(runtime.config, pool);
  const places: SlotPlace[] = [
    ...Object.values(hosts).map(({ uuid }): SlotPlace => `host#${pool}/${uuid}`),
    ...Object.keys(srSlots).map((uuid): SlotPlace => `sr#${pool}/${uuid}`),
  ];
  for (const place of places) {
    for (const jobId of await runtime.store.slots.holders(place)) {
      const job: Job | undefined = await runtime.store.jobs.get(jobId);
      if (job?.open !== undefined) continue;
      if (!dryRun) await runtime.store.slots.release(place, jobId);
      findings.push({
        kind: 'slot',
        pool,
        id: jobId,
        what: `a closed job holds a slot of ${place}`,
        action: dryRun ? 'would' : 'removed',
      });
    }
  }
  return findings;
}
