import { buildDisk, type DiskFormat } from './build-disk.ts';
import { newVbd, newVif, newVm } from './build-vm.ts';
import { XapiFailure } from './failure.ts';
import type { Vss } from './guest.ts';
import type { Host, PoolState } from './state.ts';
import { storageOf, vhdPath } from './storage.ts';
import { NULL_REF, type Row } from './value.ts';
import { snapshotVdi } from './vdi.ts';
import { enterPowerState, type PowerState } from './vm.ts';
import { updateAllowedOperations } from './vm-operations.ts';
import { writeBurst } from './writer.ts';

export interface VmSpec {
  readonly name: string;
  /** A host's UUID or name; the master if left out. */
  readonly host?: string;
  /** Where its disks are: the host's local SR (default) or the shared one. */
  readonly sr?: 'local' | 'nfs';
  readonly diskMib?: number;
  /** Random data in each disk from the start; 4 MiB, or a quarter of a smaller disk. */
  readonly dataMib?: number;
  /** Sizes in MiB of further disks, on the same SR. */
  readonly extraDisks?: readonly number[];
  readonly powerState?: PowerState;
  /** How many base copies the root disk already stands on, each with some data. */
  readonly baseCopies?: number;
  /** Another VM: the root disk shares its newest base copy with that one's, as clones of one image do. */
  readonly sharedParentOf?: string;
  readonly kind?: 'vm' | 'template' | 'noDisk';
  readonly rootFormat?: DiskFormat;
  /** How its guest's VSS behaves; by default it works on releases that have quiesced snapshots. */
  readonly vss?: Vss;
  /** Locked (default): `vm-data/allowvssprovider` is `false`. */
  readonly locked?: boolean;
  readonly otherConfig?: Record<string, string>;
}

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

export async function addVm(pool: PoolState, spec: VmSpec, guestWrites: boolean): Promise<VmHandle> {
  const { db, settings } = pool;
  const host = findHost(pool, spec.host);
  const isTemplate = spec.kind === 'template';
  const vm = newVm(pool, {
    name_label: spec.name,
    is_a_template: isTemplate,
    affinity: host.ref,
    xenstore_data: (spec.locked ?? true) && !isTemplate ? { 'vm-data/allowvssprovider': 'false' } : {},
    ...(spec.otherConfig && { other_config: spec.otherConfig }),
  });
  const [network] = db.refs('network');
  if (network) newVif(pool, vm, network);
  const sr = findSr(pool, host, spec.sr ?? 'local');
  const sizes = spec.kind === 'noDisk' ? [] : [spec.diskMib ?? 64, ...(spec.extraDisks ?? [])];
  for (const [device, mib] of sizes.entries()) {
    const format = device === 0 ? (spec.rootFormat ?? 'vhd') : 'vhd';
    const dataMib = spec.dataMib ?? Math.min(4, mib / 4);
    const vdi = await buildDisk(pool, { name: `${spec.name} ${device}`, sr, mib, format, dataMib });
    // xapi puts the CD drive at 3.
    newVbd(pool, vm, device < 3 ? device : device + 1, vdi);
  }
  newVbd(pool, vm, 3, null);
  const handle = vmHandle(pool, vm, guestWrites);
  await deepen(pool, handle, spec.baseCopies ?? 0);
  if (spec.sharedParentOf !== undefined) await shareParent(pool, handle, spec.sharedParentOf);
  const state = spec.powerState ?? (isTemplate ? 'Halted' : 'Running');
  const vss = spec.vss ?? (settings.quiesce ? 'works' : 'none');
  enterPowerState(pool, vm, state, host.ref, { vss, writing: guestWrites });
  return handle;
}

function findHost({ hosts }: PoolState, wanted: string | undefined): Host {
  const host =
    wanted === undefined ? hosts[0] : hosts.find(({ uuid, name }) => uuid === wanted || name === wanted);
  if (!host) throw new Error(`The pool has no host ${wanted}`);
  return host;
}

function findSr({ db }: PoolState, host: Host, kind: 'local' | 'nfs'): string {
  const type = kind === 'nfs' ? 'nfs' : 'ext';
  const sr = db
    .referrers('PBD', 'host', host.ref)
    .map((pbd) => db.text('PBD', pbd, 'SR'))
    .find((each) => db.text('SR', each, 'type') === type);
  if (!sr) throw new Error(`${host.name} has no SR of type ${type}`);
  return sr;
}

function internalContext(pool: PoolState) {
  const [host] = pool.hosts;
  if (!host) throw new XapiFailure('HOST_STILL_BOOTING');
  return { pool, host, session: NULL_REF, task: 'OpaqueRef:internal' };
}

/** Stands the root disk on base copies by snapshots whose own leaves are gone. */
async function deepen(pool: PoolState, { rootVdi }: VmHandle, count: number): Promise<void> {
  for (let done = 0; rootVdi && done < count; done += 1) {
    const snapshot = await snapshotVdi(internalContext(pool), rootVdi.ref);
    await dropLeaf(pool, snapshot);
    await writeBurst(pool, pool.db.text('VBD', pool.db.referrers('VBD', 'VDI', rootVdi.ref)[0] ?? '', 'VM'));
  }
}

async function dropLeaf(pool: PoolState, vdi: string): Promise<void> {
  const { rm } = await import('node:fs/promises');
  const storage = storageOf(pool, pool.db.text('VDI', vdi, 'SR'));
  await rm(vhdPath(storage, pool.db.text('VDI', vdi, 'uuid')), { force: true });
  pool.db.destroy('VDI', vdi);
}

/** Gives the VM, in the place of its root disk, a leaf beside the other VM's. */
async function shareParent(pool: PoolState, handle: VmHandle, other: string): Promise<void> {
  const { db } = pool;
  const source = db
    .refs('VM')
    .find((vm) => [db.text('VM', vm, 'uuid'), db.text('VM', vm, 'name_label')].includes(other));
  const sourceVdi = source && vmHandle(pool, source, false).rootVdi;
  const own = handle.rootVdi;
  if (!sourceVdi || !own) throw new Error(`${other} has no root disk to share`);
  const leaf = await snapshotVdi(internalContext(pool), sourceVdi.ref);
  db.update('VDI', leaf, { is_a_snapshot: false, snapshot_of: NULL_REF, name_label: `${handle.name} 0` });
  for (const vbd of db.referrers('VBD', 'VDI', own.ref)) db.set('VBD', vbd, 'VDI', leaf);
  await dropLeaf(pool, own.ref);
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
      updateAllowedOperations(pool, ref);
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
