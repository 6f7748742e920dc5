import { XapiFailure } from '../failure.ts';
import type { Context, Host, PoolState } from '../state.ts';

/**
 * Has a host do the work of a call, as the master forwards it (message_forwarding.ml): a host that is known to be away
 * is not asked, one that goes away while it works breaks the connection, and one that hangs never answers.
 * @throws XapiFailure HOST_OFFLINE before anything was done, CANNOT_CONTACT_HOST when nobody knows how far it got
 */
export async function atHost<T>(
  { pool, task }: Context,
  hostRef: string,
  work: (host: Host) => Promise<T>,
): Promise<T> {
  const { db, hosts } = pool;
  const live = db.flag('host_metrics', db.text('host', hostRef, 'metrics'), 'live');
  const host = hosts.find(({ ref }) => ref === hostRef);
  if (!host || !live) throw new XapiFailure('HOST_OFFLINE', hostRef);
  if (db.has('task', task) && !host.isMaster)
    db.update('task', task, { resident_on: hostRef, forwardedTo: hostRef });
  const { signal } = host.power;
  const lost = Promise.withResolvers<never>();
  const lose = (): void => lost.reject(new XapiFailure('CANNOT_CONTACT_HOST', hostRef));
  signal.addEventListener('abort', lose);
  if (signal.aborted) lose();
  const answered = async (): Promise<T> => {
    await host.hang?.over;
    if (signal.aborted) return lost.promise;
    const result = await work(host);
    await host.hang?.over;
    return result;
  };
  try {
    return await Promise.race([answered(), lost.promise]);
  } finally {
    signal.removeEventListener('abort', lose);
  }
}

/**
 * The host that does a call's work, where that is not the master: a VM's on the host where it runs or on one that sees
 * its disks, an SR's on a host that has it attached, the master if the SR is shared.
 * @throws XapiFailure SR_HAS_NO_PBDS, NO_HOSTS_AVAILABLE
 */
export function workingHost(pool: PoolState, call: string, args: readonly unknown[]): string | undefined {
  const [className = '', message = ''] = call.split('.');
  const ref = String(args[0]);
  const { db } = pool;
  if (!db.has(className, ref)) return undefined;
  if (call === 'task.cancel') return forwardedTo(pool, ref);
  if (className === 'VDI' && OF_VDIS.has(message)) return hostOfSr(pool, db.text('VDI', ref, 'SR'));
  if (className === 'SR' && OF_SRS.has(message)) return hostOfSr(pool, ref);
  if (className === 'VM' && OF_DISKS.has(message)) return hostThatSeesDisks(pool, ref);
  if (className === 'VM' && OF_DOMAINS.has(message)) return residentOn(pool, ref);
  if (className === 'VBD' && OF_DEVICES.has(message)) return residentOn(pool, db.text('VBD', ref, 'VM'));
  return undefined;
}

const OF_VDIS = new Set([
  'snapshot',
  'clone',
  'destroy',
  'copy',
  'resize',
  'set_name_label',
  'set_name_description',
]);
const OF_SRS = new Set(['scan', 'update']);
const OF_DISKS = new Set(['snapshot', 'clone', 'revert']);
const OF_DOMAINS = new Set(['snapshot_with_quiesce', 'clean_shutdown', 'hard_shutdown', 'pause', 'unpause']);
const OF_DEVICES = new Set(['plug', 'unplug', 'unplug_force']);

/** The host that works on an SR. */
export function hostOfSr({ db }: PoolState, sr: string): string {
  const hosts = db
    .referrers('PBD', 'SR', sr)
    .filter((pbd) => db.flag('PBD', pbd, 'currently_attached'))
    .map((pbd) => db.text('PBD', pbd, 'host'));
  const host = db.flag('SR', sr, 'shared') ? hosts.find((each) => each === masterRef(db)) : hosts[0];
  if (host === undefined) throw new XapiFailure('SR_HAS_NO_PBDS', sr);
  return host;
}

function masterRef(db: PoolState['db']): string {
  return db.text('pool', db.refs('pool')[0] ?? '', 'master');
}

/** Any live host will do; the one that the VM runs on is as good as another. */
function hostThatSeesDisks({ db }: PoolState, vm: string): string {
  const srs = db
    .referrers('VBD', 'VM', vm)
    .map((vbd) => db.text('VBD', vbd, 'VDI'))
    .filter((vdi) => db.has('VDI', vdi))
    .map((vdi) => db.text('VDI', vdi, 'SR'));
  const sees = (host: string): boolean =>
    srs.every((sr) =>
      db
        .referrers('PBD', 'SR', sr)
        .some((pbd) => db.text('PBD', pbd, 'host') === host && db.flag('PBD', pbd, 'currently_attached')),
    );
  const isLive = (host: string): boolean => db.flag('host_metrics', db.text('host', host, 'metrics'), 'live');
  const host = db.refs('host').find((each) => isLive(each) && sees(each));
  if (host === undefined) throw new XapiFailure('NO_HOSTS_AVAILABLE');
  return host;
}

/** The host that a task's work was passed on to: it has to be told of the end that is wanted. */
function forwardedTo({ db }: PoolState, task: string): string | undefined {
  const host = String(db.row('task', task).forwardedTo ?? '');
  return db.has('host', host) ? host : undefined;
}

function residentOn({ db }: PoolState, vm: string): string | undefined {
  const host = db.text('VM', vm, 'resident_on');
  return db.has('host', host) ? host : undefined;
}
