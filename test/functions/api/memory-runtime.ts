import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../functions/clock.ts';
import { parseConfig } from '../../../functions/config.ts';
import { jsonLog } from '../../../functions/log.ts';
import { collectMetrics } from '../../../functions/metrics.ts';
import type { Runtime } from '../../../functions/runtime/executions.ts';
import { storeIn } from '../../../functions/store.ts';
import type { Glance } from '../../../glance/client.ts';
import type { Image } from '../../../glance/image.ts';
import { startPool, type VmSpec } from '../../../local/pool/pool.ts';
import { createPoolClient } from '../../../xapi/client.ts';
import { XapiError } from '../../../xapi/errors.ts';
import type { Session } from '../../../xapi/session.ts';
import { NULL_REF } from '../../../xapi/types.ts';
import { MemoryTable } from '../../scale/memory-table.ts';

type Records = Readonly<Record<string, Readonly<Record<string, unknown>>>>;
/** Records by class. */
type PoolRecords = Readonly<Record<string, Records>>;

/** What a simulated pool with these VMs answers for whole classes, asked once over XML-RPC. */
export async function recordsOfPool(vms: readonly VmSpec[]): Promise<PoolRecords> {
  const dataDir = await mkdtemp(join(tmpdir(), 'xensnap-memory-'));
  const pool = await startPool({ dataDir, diskMib: 4, vms: 0, guestWrites: false });
  for (const vm of vms) await pool.addVm(vm);
  const client = createPoolClient({ addresses: [pool.url] });
  const { username, password } = pool;
  const records = await client.withSession(
    async () => ({ username, password }),
    async (xapi) => ({
      VM: await xapi.call('VM.get_all_records'),
      VM_metrics: await xapi.call('VM_metrics.get_all_records'),
      VBD: await xapi.call('VBD.get_all_records_where', 'true'),
      VDI: await xapi.call('VDI.get_all_records_where', 'true'),
      SR: await xapi.call('SR.get_all_records_where', 'true'),
      PBD: await xapi.call('PBD.get_all_records_where', 'true'),
      host: await xapi.call('host.get_all_records'),
      pool: await xapi.call('pool.get_all_records'),
    }),
  );
  await client.close();
  await pool.close();
  await rm(dataDir, { recursive: true, force: true });
  return records as unknown as PoolRecords;
}

/** A runtime without a network: table, pool, Glance and executions are in memory, for very many requests. */
export function memoryRuntime(
  records: PoolRecords,
  logLine: (line: string) => void,
  images: readonly Image[] = [],
): Runtime {
  const session = sessionOf(records);
  return {
    config: parseConfig(
      JSON.stringify({
        installation: 'test',
        pools: [{ name: 'demo', addresses: ['http://127.0.0.1:9'], secretId: 'pool' }],
        glance: { url: 'http://127.0.0.1:9' },
      }),
    ),
    store: storeIn(new MemoryTable()),
    glance: memoryGlance(images),
    clock: systemClock,
    log: jsonLog(logLine),
    metrics: collectMetrics(),
    wait: async () => {},
    withSession: (_, use) => use(session),
    glanceToken: async () => undefined,
    wake: async () => {},
    executions: {
      start: async () => {},
      stop: async () => {},
      describe: async () => undefined,
      history: async function* () {},
      running: async function* () {},
    },
    close: async () => {},
  };
}

/** The getters of a pool that never changes. */
function sessionOf(records: PoolRecords): Session {
  const call = async (method: string, argument = ''): Promise<unknown> => {
    const [className = '', name] = method.split('.');
    const all = records[className] ?? {};
    const refuse = (...description: string[]) => new XapiError(method, description);
    switch (name) {
      case 'get_all_records':
        return all;
      case 'get_all_records_where':
        return Object.fromEntries(
          Object.entries(all).filter(([ref, record]) => fits(ref, record, argument, className)),
        );
      case 'get_record':
        if (all[argument]) return all[argument];
        throw refuse('HANDLE_INVALID', className, argument);
      case 'get_by_uuid': {
        const found = Object.entries(all).find(([, { uuid }]) => uuid === argument);
        if (found) return found[0];
        throw refuse('UUID_INVALID', className, argument);
      }
      case 'get_by_name_label':
        return Object.keys(all).filter((ref) => all[ref]?.name_label === argument);
      case 'get_servertime':
        return new Date();
      case 'call_plugin':
        throw refuse('XENAPI_MISSING_PLUGIN', argument);
      default:
        throw argument === NULL_REF
          ? refuse('HANDLE_INVALID', className)
          : refuse('MESSAGE_METHOD_UNKNOWN', method);
    }
  };
  return { call: call as Session['call'], callCount: 0 };
}

/** Filters as this project writes them: fields and values, all of which must fit. */
function fits(
  ref: string,
  record: Readonly<Record<string, unknown>>,
  filter: string,
  className: string,
): boolean {
  return [...filter.matchAll(/field "(\w+)" = "([^"]*)"/g)].every(
    ([, field = '', value]) => String(field === className ? ref : record[field]) === value,
  );
}

function memoryGlance(first: readonly Image[]): Glance {
  const images = new Map(first.map((image) => [image.id, image]));
  return {
    async createImage({ id, name, diskFormat, containerFormat, visibility, properties }) {
      const now = new Date().toISOString();
      const image: Image = {
        id,
        name,
        status: 'queued',
        sizeBytes: null,
        checksum: null,
        osHashAlgo: null,
        osHashValue: null,
        diskFormat,
        containerFormat,
        visibility,
        owner: null,
        protected: false,
        createdAt: now,
        updatedAt: now,
        properties,
      };
      images.set(id, image);
      return image;
    },
    getImage: async (id) => images.get(id),
    deleteImage: async (id) => void images.delete(id),
    updateImage: async (id) => images.get(id) ?? Promise.reject(new Error(`no ${id}`)),
    async *listImages() {
      yield* images.values();
    },
    check: async () => ({ version: 'v2.15' }),
    close: async () => {},
  };
}

/** A server that is not there. */
export const NOBODY = randomUUID();
