import { endPlugins, signalPlugins } from './classes/plugin.ts';
import { forgetTasks } from './classes/task.ts';
import { updateAllowedVdiOperations } from './classes/vdi-operations.ts';
import { enterPowerState } from './classes/vm.ts';
import type { Backup } from './database/database.ts';
import { diskAttachmentChanged } from './sm/blktap.ts';
import { loseDevices } from './sm/devices.ts';
import type { Host, PoolState } from './state.ts';

/** Seconds without a heartbeat after which the master takes a host for dead (host_assumed_dead_interval of xapi_globs.ml). */
const ASSUMED_DEAD_SECONDS = 600;

function setLive({ db }: PoolState, { ref }: Host, live: boolean): void {
  if (db.has('host', ref)) db.set('host_metrics', db.text('host', ref, 'metrics'), 'live', live);
}

/**
 * A host without power: its plugins and its domains are gone, its connections are broken. The database says of its VMs
 * that they run, until it is up again or somebody says otherwise.
 */
export async function crashHost(pool: PoolState, host: Host): Promise<void> {
  if (host.power.signal.aborted) return;
  host.power.abort();
  resumeHost(pool, host);
  setLive(pool, host, false);
  for (const vm of pool.db.referrers('VM', 'resident_on', host.ref)) pool.guests.delete(vm);
  await Promise.all([endPlugins(pool, host), ...host.listeners.map((listener) => listener.stop())]);
  await loseDevices(pool, host);
}

/** Power again: what ran on it is found halted, and nothing of its control domain's disks is attached. */
export async function bootHost(pool: PoolState, host: Host): Promise<void> {
  if (host.power.signal.aborted) {
    host.power = new AbortController();
    forgetDomains(pool, host);
    await Promise.all(host.listeners.map((listener) => listener.start()));
  }
  setLive(pool, host, true);
}

function forgetDomains(pool: PoolState, { ref }: Host): void {
  const { db } = pool;
  const controlDomain = db.text('host', ref, 'control_domain');
  for (const vm of db.referrers('VM', 'resident_on', ref)) {
    if (vm !== controlDomain) enterPowerState(pool, vm, 'Halted', ref);
  }
  // sm resets the tags of disks when the host attaches its SRs again, or is declared dead (resetvdis.py).
  for (const vdi of db.refs('VDI')) {
    const { [`host_${ref}`]: tag, ...rest } = db.map('VDI', vdi, 'sm_config');
    if (tag === undefined) continue;
    db.set('VDI', vdi, 'sm_config', rest);
    diskAttachmentChanged(pool, vdi);
  }
  for (const vbd of db.referrers('VBD', 'VM', controlDomain)) {
    const vdi = db.text('VBD', vbd, 'VDI');
    db.destroy('VBD', vbd);
    if (db.has('VDI', vdi)) updateAllowedVdiOperations(pool, vdi);
  }
}

/** The host stands still: it answers nobody, and nothing on it goes on. What was asked of it meanwhile it does later. */
export function hangHost(pool: PoolState, host: Host): void {
  if (host.hang || host.power.signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const residents = pool.db.referrers('VM', 'resident_on', host.ref);
  const guests = residents.flatMap((vm) => pool.guests.get(vm) ?? []).filter(({ writing }) => writing);
  for (const guest of guests) guest.writing = false;
  host.hang = { since: pool.clock.now(), over: promise, end: resolve, guests };
  signalPlugins(pool, host, 'SIGSTOP');
}

export function resumeHost(pool: PoolState, host: Host): void {
  const { hang } = host;
  if (!hang) return;
  host.hang = undefined;
  for (const guest of hang.guests) guest.writing = true;
  signalPlugins(pool, host, 'SIGCONT');
  setLive(pool, host, true);
  hang.end();
}

/** The master's look at the heartbeats (db_gc.ml, check_host_liveness). */
export function checkLiveness(pool: PoolState): void {
  for (const host of pool.hosts) {
    const silentSeconds = host.hang ? (pool.clock.now().getTime() - host.hang.since.getTime()) / 1000 : 0;
    if (silentSeconds > ASSUMED_DEAD_SECONDS) setLive(pool, host, false);
  }
}

/**
 * Another host is the master from now on (pool.emergency_transition_to_master, pool.designate_new_master): every xapi
 * starts anew, on the database that the new master has.
 */
export async function failOver(
  pool: PoolState,
  host: Host,
  how: { readonly oldMaster: 'dead' | 'member'; readonly database?: Backup },
): Promise<void> {
  const { db, hosts } = pool;
  if (host.power.signal.aborted) throw new Error(`${host.name} is dead, and can be no master`);
  const old = hosts.find(({ isMaster }) => isMaster);
  if (old && how.oldMaster === 'dead') await crashHost(pool, old);
  const up = hosts.filter(({ power }) => !power.signal.aborted).flatMap(({ listeners }) => listeners);
  await Promise.all(up.map((listener) => listener.stop()));
  if (how.database) db.restore(how.database);
  for (const each of hosts) {
    each.isMaster = each === host;
    setLive(pool, each, !each.power.signal.aborted);
  }
  for (const each of db.refs('pool')) db.set('pool', each, 'master', host.ref);
  forgetTasks(pool);
  await Promise.all(up.map((listener) => listener.start()));
}

/**
 * The host leaves the pool for good, as by `pool.eject`, or by `host.destroy` once it is dead: its record, its control
 * domain and its PBDs go. What ran on it is halted; its local SRs stay in the database, attached nowhere.
 * @throws Error for the master, which cannot be ejected
 */
export async function ejectHost(pool: PoolState, host: Host): Promise<void> {
  if (host.isMaster) throw new Error(`${host.name} is the master, which no pool ejects`);
  const { db } = pool;
  await crashHost(pool, host);
  forgetDomains(pool, host);
  const controlDomain = db.text('host', host.ref, 'control_domain');
  for (const [className, ref] of [
    ['VM_metrics', db.text('VM', controlDomain, 'metrics')],
    ['VM', controlDomain],
    ['host_metrics', db.text('host', host.ref, 'metrics')],
    ...db.referrers('PBD', 'host', host.ref).map((pbd) => ['PBD', pbd] as const),
    ...db.referrers('PIF', 'host', host.ref).map((pif) => ['PIF', pif] as const),
    ['host', host.ref],
  ] as const) {
    db.destroy(className, ref);
  }
  pool.hosts.splice(pool.hosts.indexOf(host), 1);
}
