import { NULL_REF, type Value } from './database/value.ts';
import { type Guest, type PoolState, VSS, type Vss } from './state.ts';

function vssOf(value: Value): Vss {
  return VSS.find((each) => each === value) ?? 'none';
}

/** Keys that a VM's `xenstore_data` carries into its domain (xenopsd Domain.set_xsdata); others stay behind. */
function reachesGuest(key: string): boolean {
  return key.startsWith('vm-data/') || key.startsWith('FIST/');
}

/** Starts a domain with what the database holds, and with the habits that the VM was given outside the data model. */
export function bootGuest(pool: PoolState, vmRef: string): void {
  const vss = vssOf(pool.db.get('VM', vmRef, 'vss'));
  const guest: Guest = { xenstore: new Map(), vss, writing: pool.db.flag('VM', vmRef, 'writing') };
  if (vss !== 'none') guest.xenstore.set('control/feature-snapshot', '1');
  pool.guests.set(vmRef, guest);
  writeXenstoreData(pool, vmRef);
  reportMetrics(pool, vmRef);
}

/** What the agent inside tells of the guest; without one there is nothing, and no disk can be hot-plugged. */
function reportMetrics({ db, clock }: PoolState, vmRef: string): void {
  const before = db.text('VM', vmRef, 'guest_metrics');
  if (db.has('VM_guest_metrics', before)) db.destroy('VM_guest_metrics', before);
  const hasAgent = !db.flag('VM', vmRef, 'withoutAgent');
  const metrics = hasAgent
    ? db.create('VM_guest_metrics', {
        os_version: { name: 'Debian GNU/Linux 12 (bookworm)', uname: '6.1.0-40-amd64', distro: 'debian' },
        PV_drivers_version: { major: '8', minor: '3', micro: '60', build: '1' },
        PV_drivers_up_to_date: true,
        PV_drivers_detected: true,
        networks: { '0/ip': '192.0.2.20', '0/ipv4/0': '192.0.2.20' },
        can_use_hotplug_vbd: 'yes',
        can_use_hotplug_vif: 'yes',
        live: true,
        last_updated: clock.now(),
      })
    : NULL_REF;
  db.set('VM', vmRef, 'guest_metrics', metrics);
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
