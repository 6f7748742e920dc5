import type { Clock } from '../../functions/clock.ts';
import { jsonLog } from '../../functions/log.ts';
import { collectMetrics, type Metrics } from '../../functions/metrics.ts';
import { createRuntime, type WholeRuntime } from '../../functions/runtime.ts';
import { storeIn } from '../../functions/store.ts';
import type { MemoryTable } from './memory-table.ts';

const NOWHERE = 'http://127.0.0.1:9';

/** The real runtime on the memory's table and virtual time, with a pool and a Glance that nobody may ask. */
export function memoryRuntime(
  clock: Clock,
  table: MemoryTable,
  {
    slotsPerHost = 2,
    pools = ['demo'],
    srSlots = {},
    metrics = collectMetrics(),
  }: {
    slotsPerHost?: number;
    pools?: readonly string[];
    srSlots?: Readonly<Record<string, number>>;
    metrics?: Metrics;
  } = {},
): WholeRuntime {
  const runtime = createRuntime(
    {
      XENSNAP_CONFIG: JSON.stringify({
        installation: 'memory',
        pools: pools.map((name) => ({ name, addresses: [NOWHERE], slotsPerHost, srSlots })),
        glance: { url: NOWHERE },
      }),
      XENSNAP_TABLE: 'memory',
      XENSNAP_STATE_MACHINE_ARN: 'arn:aws:states:us-east-1:000000000000:stateMachine:memory',
      XENSNAP_RESTORE_MACHINE_ARN: 'arn:aws:states:us-east-1:000000000000:stateMachine:memory-restore',
      XENSNAP_QUEUE_URL: NOWHERE,
    },
    {
      clock,
      log: jsonLog(() => {}),
      metrics,
      aws: { region: 'us-east-1', credentials: { accessKeyId: 'none', secretAccessKey: 'none' } },
    },
  );
  return { ...runtime, store: storeIn(table) };
}
