import type { Session } from '../../xapi/session.ts';
import type { HostRecord, Ref } from '../../xapi/types.ts';
import { XensnapError } from '../errors.ts';
import { hostGroup, slotsOfHost } from '../store/counters.ts';
import type { Store } from '../store.ts';
import { GONE, unlessUnknown } from './gone.ts';

/** A host that can read the disk. */
export interface UploadHost {
  readonly ref: Ref<'host'>;
  readonly record: HostRecord;
}

/** Hosts to which the SR is attached now. */
export async function hostsWithSr(xapi: Session, srRef: Ref<'SR'>): Promise<readonly Ref<'host'>[]> {
  const pbds = await xapi.call('PBD.get_all_records_where', `field "SR" = "${srRef}"`);
  return Object.values(pbds)
    .filter((pbd) => pbd.currently_attached)
    .map((pbd) => pbd.host);
}

/**
 * The host that is to do the transfer: where the VM runs, else, of the hosts to which the SR is attached and that are not
 * in maintenance, the one with the fewest transfers; one that is dead only where all are.
 * @param at.except UUIDs of hosts that it must not be
 * @throws StorageNotAttached
 */
export async function chooseHost(
  xapi: Session,
  store: Store,
  at: {
    pool: string;
    srRef: Ref<'SR'>;
    srName: string;
    residentOn: Ref<'host'> | undefined;
    except?: readonly string[] | undefined;
  },
): Promise<UploadHost> {
  const attached = await hostsWithSr(xapi, at.srRef);
  const candidates = at.residentOn === undefined ? attached : attached.filter((ref) => ref === at.residentOn);
  const hosts = await Promise.all(
    candidates.map(async (ref) => {
      const record = await xapi.call('host.get_record', ref);
      // The only one is taken as it is, and asked again until it answers.
      if (candidates.length === 1) return { ref, record, live: true, uploads: 0 };
      const live = await isLive(xapi, record);
      return { ref, record, live, uploads: await uploadsOf(store, at.pool, record.uuid) };
    }),
  );
  const usable = hosts.filter(
    ({ record }) => (record.enabled || at.residentOn !== undefined) && !at.except?.includes(record.uuid),
  );
  const [least] = usable.toSorted(
    (a, b) =>
      Number(b.live) - Number(a.live) || a.uploads - b.uploads || a.record.uuid.localeCompare(b.record.uuid),
  );
  if (least) return least;
  throw new XensnapError(
    'StorageNotAttached',
    at.residentOn === undefined
      ? `The SR "${at.srName}" is attached to no ${at.except ? 'other ' : ''}host that is enabled.`
      : `The SR "${at.srName}" with the root disk is not attached to the host on which the VM runs.`,
  );
}

/**
 * Whether the pool hears of it. A host without power stays enabled, with its storage attached, for as long as nobody
 * declares it dead; and it has the fewest transfers of all.
 */
async function isLive(xapi: Session, { metrics }: HostRecord): Promise<boolean> {
  const record = await unlessUnknown('host_metrics', metrics, () =>
    xapi.call('host_metrics.get_record', metrics),
  );
  return record === GONE || record.live;
}

async function uploadsOf(store: Store, pool: string, hostUuid: string): Promise<number> {
  return (await store.counters.holders(slotsOfHost(hostGroup(pool, hostUuid)))).length;
}
