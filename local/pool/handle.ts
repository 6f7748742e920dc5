import type { Vss } from './guest.ts';
import type { PoolState } from './state.ts';
import { storageOf, vhdPath } from './storage.ts';
import type { Row } from './value.ts';
import { enterPowerState, type PowerState } from './vm.ts';
import { writeBurst } from './writer.ts';

/** A VM seen from outside the API: what an operator with a console would do and see. */
export interface VmHandle {
  readonly uuid: string;
  readonly ref: string;
  readonly name: string;
  /** As `VM.get_record` answers. */
  record(): Row;
  /** Device 0; undefined for a VM without disks. */
  readonly rootVdi: { readonly uuid: string; readonly ref: string; readonly path: string } | undefined;
  /** The domain's own keys; undefined while it has no domain. */
  liveXenstore(): Record<string, string> | undefined;
  setPowerState(state: PowerState): void;
  migrate(hostUuid: string): void;
  /** One burst of the guest's writes into each of its disks. */
  writeSome(): Promise<void>;
  startWriting(): void;
  /** No burst begins after this; one may be under way until the next `writeSome` of the same VM returns. */
  stopWriting(): void;
  setVss(vss: Vss): void;
}

export function vmHandle(pool: PoolState, ref: string, guestWrites: boolean): VmHandle {
  const { db, guests } = pool;
  return {
    ref,
    uuid: db.text('VM', ref, 'uuid'),
    name: db.text('VM', ref, 'name_label'),
    record: () => db.record('VM', ref),
    get rootVdi() {
      const vbd = db
        .referrers('VBD', 'VM', ref)
        .find(
          (each) => db.text('VBD', each, 'userdevice') === '0' && db.text('VBD', each, 'type') === 'Disk',
        );
      const vdi = vbd && db.text('VBD', vbd, 'VDI');
      if (!vdi || !db.has('VDI', vdi)) return undefined;
      const uuid = db.text('VDI', vdi, 'uuid');
      return { uuid, ref: vdi, path: vhdPath(storageOf(pool, db.text('VDI', vdi, 'SR')), uuid) };
    },
    liveXenstore() {
      const guest = guests.get(ref);
      return guest && Object.fromEntries(guest.xenstore);
    },
    setPowerState(state) {
      const resident = db.text('VM', ref, 'resident_on');
      const host = db.has('host', resident) ? resident : db.text('VM', ref, 'affinity');
      const vss = pool.settings.quiesce ? 'works' : 'none';
      enterPowerState(pool, ref, state, host, { vss, writing: guestWrites });
    },
    migrate(hostUuid) {
      const state = db.text('VM', ref, 'power_state') === 'Paused' ? 'Paused' : 'Running';
      enterPowerState(pool, ref, state, db.byUuid('host', hostUuid));
    },
    writeSome: () => writeBurst(pool, ref),
    startWriting() {
      const guest = guests.get(ref);
      if (guest) guest.writing = true;
    },
    stopWriting() {
      const guest = guests.get(ref);
      if (guest) guest.writing = false;
    },
    setVss(vss) {
      const guest = guests.get(ref);
      if (!guest) return;
      guest.vss = vss;
      if (vss === 'none') guest.xenstore.delete('control/feature-snapshot');
      else guest.xenstore.set('control/feature-snapshot', '1');
    },
  };
}
