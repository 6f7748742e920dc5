import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { HostRecord } from '../../xapi/types.ts';
import { mapBounded } from '../bounded.ts';
import { isFinished } from '../job.ts';
import type { Runtime } from '../runtime/executions.ts';
import { hostGroup, hostOfLine, slotsOfHost } from '../store/counters.ts';
import { callerOf, requireAdmin } from './caller.ts';
import { askEveryPool } from './every-pool.ts';
import { HostView } from './host-view.ts';
import { problems } from './problem.ts';
import { NoQuery } from './validation.ts';

const list = createRoute({
  method: 'get',
  path: '/hosts',
  operationId: 'listHosts',
  summary: 'Lists the hosts of every pool with their slots and lines',
  request: { query: NoQuery },
  responses: {
    200: {
      description: 'By pool and name.',
      content: { 'application/json': { schema: z.object({ hosts: z.array(HostView) }) } },
    },
    ...problems(400, 401, 403, 500, 501, 503),
  },
});

export function routeHosts(app: OpenAPIHono, runtime: Runtime): void {
  const { store } = runtime;
  app.openapi(list, async (c) => {
    requireAdmin(callerOf(c, runtime.config));
    const [found, waiting] = await Promise.all([
      askEveryPool(runtime, async (xapi, { name: pool, slotsPerHost, hostSlots }) => {
        const records: HostRecord[] = Object.values(await xapi.call('host.get_all_records'));
        return records.map(({ uuid, name_label: name }) => ({
          uuid,
          name,
          pool,
          slots: hostSlots[uuid] ?? slotsPerHost,
        }));
      }),
      waitingByHost(runtime),
    ]);
    const hosts = await mapBounded(found, 8, async (host) => {
      const group = hostGroup(host.pool, host.uuid);
      return {
        ...host,
        holders: [...(await store.counters.holders(slotsOfHost(group)))].sort(),
        waiting: waiting.get(group) ?? 0,
      };
    });
    hosts.sort((a, b) => a.pool.localeCompare(b.pool) || a.name.localeCompare(b.name));
    return c.json({ hosts }, 200);
  });
}

/** How many jobs stand in the lines of each host that has any; of twenty thousand no more than that is kept. */
async function waitingByHost({ store }: Pick<Runtime, 'store'>): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  for await (const job of store.jobs.open()) {
    if (job.group === undefined || job.ticketState !== 'waiting' || isFinished(job)) continue;
    const host = hostOfLine(job.group);
    counts.set(host, (counts.get(host) ?? 0) + 1);
  }
  return counts;
}
