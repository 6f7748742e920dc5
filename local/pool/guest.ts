import { updateAllowedOperations } from './classes/vm-operations.ts';
import { NULL_REF, type Value } from './database/value.ts';
import { systemOn } from './sm/boot-disk.ts';
import { openFlatDisk } from './sm/flat-disk.ts';
import { type Guest, type PoolState, VSS, type Vss } from './state.ts';

function vssOf(value: Value): Vss {
  return VSS.find((each) => each === value) ?? 'none';
}

/** Keys that a VM's `xenstore_data` carries into its domain (xenopsd Domain.set_xsdata); others stay behind. */
function reachesGuest(key: string): boolean {
  return key.startsWith('vm-data/') || key.startsWith('FIST/');
}

export type Boots = 'at once' | 'from disk';

/** Starts a domain with what the database holds, and with the habits that the VM was given outside the data model. */
export function bootGuest(pool: PoolState, vmRef: string, boots: Boots): void {
  const vss = vssOf(pool.db.get('VM', vmRef, 'vss'));
  const guest: Guest = { xenstore: new Map(), vss, booted: false, writing: false };
  pool.guests.set(vmRef, guest);
  writeXenstoreData(pool, vmRef);
  beginMetrics(pool, vmRef);
  if (boots === 'at once') comeUp(pool, vmRef, guest, !pool.db.flag('VM', vmRef, 'withoutAgent'));
  // The disk may go, the pool may be closed: then the guest never comes up.
  else void bootFromDisk(pool, vmRef, guest).catch(() => undefined);
}

/** The guest's system runs, and its agent if it has one. */
function comeUp(pool: PoolState, vmRef: string, guest: Guest, hasAgent: boolean): void {
  guest.booted = true;
  guest.writing = pool.db.flag('VM', vmRef, 'writing');
  if (guest.vss !== 'none') guest.xenstore.set('control/feature-snapshot', '1');
  if (hasAgent) reportMetrics(pool, vmRef);
}

/** Looks after a while whether what is on the disk comes up; a domain that is paused waits, one that is gone is left. */
async function bootFromDisk(pool: PoolState, vmRef: string, guest: Guest): Promise<void> {
  const { db, clock, guests, settings, stopped } = pool;
  do await clock.sleep(settings.guestBootSeconds, stopped);
  while (guests.get(vmRef) === guest && db.text('VM', vmRef, 'power_state') === 'Paused');
  const vdi = bootDisk(pool, vmRef);
  const system = vdi === undefined ? undefined : await systemOn(await openFlatDisk(pool, vdi));
  if (!system || guests.get(vmRef) !== guest) return;
  const { firmware = 'bios', order = '' } = db.map('VM', vmRef, 'HVM_boot_params');
  const isRight = system.firmware === firmware && db.text('VM', vmRef, 'HVM_boot_policy') !== '';
  // UEFI has its own list of what to boot.
  if (!isRight || (firmware === 'bios' && !order.includes('c'))) return;
  comeUp(pool, vmRef, guest, system.hasAgent);
  updateAllowedOperations(pool, vmRef);
}

/** The disk that firmware finds first. */
function bootDisk({ db }: PoolState, vmRef: string): string | undefined {
  const disks = db
    .referrers('VBD', 'VM', vmRef)
    .filter((vbd) => db.text('VBD', vbd, 'type') === 'Disk' && db.has('VDI', db.text('VBD', vbd, 'VDI')))
    .sort(
      (one, other) => Number(db.text('VBD', one, 'userdevice')) - Number(db.text('VBD', other, 'userdevice')),
    );
  const first = disks.find((vbd) => db.flag('VBD', vbd, 'bootable')) ?? disks[0];
  return first === undefined ? undefined : db.text('VBD', first, 'VDI');
}

/**
 * What an earlier domain's agent told, or that of a VM that was cloned, is no more: until then it was there, with the VM
 * halted. A domain has a record of its own as
 * soon as it runs, in which nothing is told (xapi_xenops.ml, create_guest_metrics_if_needed).
 */
function beginMetrics({ db, clock }: PoolState, vmRef: string): void {
  const before = db.text('VM', vmRef, 'guest_metrics');
  if (db.has('VM_guest_metrics', before)) db.destroy('VM_guest_metrics', before);
  const metrics = db.flag('VM', vmRef, 'is_control_domain')
    ? NULL_REF
    : db.create('VM_guest_metrics', {
        can_use_hotplug_vbd: 'unspecified',
        can_use_hotplug_vif: 'unspecified',
        live: true,
        last_updated: clock.now(),
      });
  db.set('VM', vmRef, 'guest_metrics', metrics);
}

/** What the agent inside tells of the guest; without one nothing is told, and no disk can be hot-plugged. */
function reportMetrics({ db, clock }: PoolState, vmRef: string): void {
  db.update('VM_guest_metrics', db.text('VM', vmRef, 'guest_metrics'), {
    os_version: { name: 'Debian GNU/Linux 12 (bookworm)', uname: '6.1.0-40-amd64', distro: 'debian' },
    PV_drivers_version: { major: '8', minor: '3', micro: '60', build: '1' },
    PV_drivers_up_to_date: true,
    PV_drivers_detected: true,
    networks: { '0/ip': '192.0.2.20', '0/ipv4/0': '192.0.2.20' },
    can_use_hotplug_vbd: 'yes',
    can_use_hotplug_vif: 'yes',
    last_updated: clock.now(),
  });
}

/** Puts the database's `xenstore_data` into the live domain, in the place of what was there. */
export function writeXenstoreData(pool: PoolState, vmRef: string): void {
  const guest = pool.guests.get(vmRef);
  if (!guest) return;
  for (const key of guest.xenstore.keys()) if (reachesGuest(key)) guest.xenstore.delete(key);
  for (const [key, value] of Object.entries(pool.db.map('VM', vmRef, 'xenstore_data'))) {
    if (reachesGuest(key)) guest.xenstore.set(key, value);
  }
}

/**
 * Whether the guest's VSS provider offers itself: it reads the live key when it is asked; absent means yes
 * (win-xenvss, IsVSSSupported).
 */
export function providerOffersItself({ xenstore }: Guest): boolean {
  return xenstore.get('vm-data/allowvssprovider') !== 'false';
}
