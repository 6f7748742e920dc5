import { enterPowerState, type PowerState } from './classes/vm.ts';
import type { Row } from './database/value.ts';
import { bootSectorAfter, readSectors } from './sm/boot-disk.ts';
import { openFlatDisk } from './sm/flat-disk.ts';
import { diskPath, storageOf } from './sm/storage.ts';
import { writeBurst, writeDisk } from './sm/writer.ts';
import type { PoolState, Vss } from './state.ts';

/** A disk of a VM, with the file that holds it. */
export interface AttachedDisk {
  readonly device: number;
  readonly uuid: string;
  readonly ref: string;
  readonly path: string;
}

/** A VM seen from outside the API: what an operator with a console would do and see. */
export interface VmHandle {
  readonly uuid: string;
  readonly ref: string;
  readonly name: string;
  /** The record as `VM.get_record` gives it. */
  record(): Row;
  /** Its disks by device, without CDs. */
  readonly disks: readonly AttachedDisk[];
  /** Device 0, or else the first there is; undefined for a VM without disks. */
  readonly rootVdi: AttachedDisk | undefined;
  /** The domain's own keys; undefined while it has no domain. */
  liveXenstore(): Record<string, string> | undefined;
  /** Changes the power state at once, whatever is under way; a VM boots where it was, or where its affinity is. */
  setPowerState(state: PowerState): void;
  /** Its disks stay where they are, even if the new host cannot see them. */
  migrate(hostUuid: string): void;
  /** Makes one burst of writes into each of its disks, in any power state. */
  writeSome(): Promise<void>;
  /** Writes whole sectors into its root disk, at an offset in bytes. */
  writeAt(offset: number, data: Buffer): Promise<void>;
  startWriting(): void;
  /** Resolves when the last burst is over. */
  stopWriting(): Promise<void>;
  /** How its guest answers quiesced snapshots from now on. */
  setVss(vss: Vss): void;
}

export function vmHandle(pool: PoolState, ref: string): VmHandle {
  const { db, guests } = pool;
  return {
    ref,
    uuid: db.text('VM', ref, 'uuid'),
    name: db.text('VM', ref, 'name_label'),
    record: () => db.record('VM', ref),
    get disks() {
      return disksOf(pool, ref);
    },
    get rootVdi() {
      return disksOf(pool, ref)[0];
    },
    liveXenstore() {
      const guest = guests.get(ref);
      return guest && Object.fromEntries(guest.xenstore);
    },
    setPowerState(state) {
      const resident = db.text('VM', ref, 'resident_on');
      const host = db.has('host', resident) ? resident : db.text('VM', ref, 'affinity');
      enterPowerState(pool, ref, state, host);
    },
    migrate(hostUuid) {
      const state = db.text('VM', ref, 'power_state') === 'Paused' ? 'Paused' : 'Running';
      enterPowerState(pool, ref, state, db.byUuid('host', hostUuid));
    },
    writeSome: () => writeBurst(pool, ref),
    async writeAt(offset, data) {
      if (!this.rootVdi) return;
      const writes = [{ sector: offset / 512, data }];
      const boot = await readSectors(await openFlatDisk(pool, this.rootVdi.ref), 0, 1);
      // What a guest writes is no damage to it.
      const after = offset > 0 ? bootSectorAfter(boot, writes) : undefined;
      await writeDisk(pool, this.rootVdi.ref, after ? [...writes, { sector: 0, data: after }] : writes);
    },
    startWriting() {
      db.set('VM', ref, 'writing', true);
      const guest = guests.get(ref);
      if (guest) guest.writing = true;
    },
    async stopWriting() {
      db.set('VM', ref, 'writing', false);
      const guest = guests.get(ref);
      if (guest) guest.writing = false;
      await guest?.burst;
    },
    setVss(vss) {
      db.set('VM', ref, 'vss', vss);
      const guest = guests.get(ref);
      if (!guest) return;
      guest.vss = vss;
      if (vss === 'none') guest.xenstore.delete('control/feature-snapshot');
      else guest.xenstore.set('control/feature-snapshot', '1');
    },
  };
}

function disksOf(pool: PoolState, vm: string): AttachedDisk[] {
  const { db } = pool;
  const vbds = db.referrers('VBD', 'VM', vm).filter((vbd) => db.text('VBD', vbd, 'type') === 'Disk');
  return vbds
    .filter((vbd) => db.has('VDI', db.text('VBD', vbd, 'VDI')))
    .map((vbd) => {
      const ref = db.text('VBD', vbd, 'VDI');
      const uuid = db.text('VDI', ref, 'uuid');
      const path = diskPath(storageOf(pool, db.text('VDI', ref, 'SR')), uuid);
      return { device: Number(db.text('VBD', vbd, 'userdevice')), uuid, ref, path };
    })
    .sort((one, other) => one.device - other.device);
}
