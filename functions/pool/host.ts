import type { Session } from '../../xapi/session.ts';
import type { HostRecord, Ref } from '../../xapi/types.ts';
import { XensnapError } from '../errors.ts';
import { hostGroup, slotsOfHost } from '../store/counters.ts';
import type { Store } from '../store.ts';

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
 * in maintenance, the one with the fewest transfers.
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
      return { ref, record, uploads: await uploadsOf(store, at.pool, record.uuid, candidates.length) };
    }),
  );
  const usable = hosts.filter(
    ({ record }) => (record.enabled || at.residentOn !== undefined) && !at.except?.includes(record.uuid),
  );
  const [least] = usable.toSorted(
    (a, b) => a.uploads - b.uploads || a.record.uuid.localeCompare(b.record.uuid),
  );
  if (least) return least;
  throw new XensnapError(
    'StorageNotAttached',
    at.residentOn === undefined
      ? `The SR "${at.srName}" is attached to no ${at.except ? 'other ' : ''}host that is enabled.`
      : `The SR "${at.srName}" with the root disk is not attached to the host on which the VM runs.`,
  );
}

async function uploadsOf(store: Store, pool: string, hostUuid: string, candidates: number): Promise<number> {
  return candidates === 1 ? 0 : (await store.counters.holders(slotsOfHost(hostGroup(pool, hostUuid)))).length;
}
