import { basename } from 'node:path';
import { type Dom0Vbd, devicesOfHosts, dom0Vbds, listTree, uuidOrNone } from './inventory-dom0.ts';
import { attachedToControlDomains } from './sm/dom0-vbd.ts';
import { isSmOwn } from './sm/journal.ts';
import { diskPath } from './sm/storage.ts';
import type { PoolState } from './state.ts';

/**
 * Everything that a job could leave behind; two of them are compared with deepEqual. Base copies and their files are
 * not in it, since the coalescer makes and merges them as it likes, nor are its journals: `baseCopies` lists the former.
 */
export interface PoolInventory {
  readonly vms: {
    uuid: string;
    name: string;
    isSnapshot: boolean;
    otherConfig: Record<string, string>;
    /** Its interfaces, as device and MAC, and its vTPMs by UUID. */
    vifs: string[];
    vtpms: string[];
    /** Its disks, but for a control domain's: position, disk, mode and mark. */
    disks: string[];
    /** The operations that are blocked, and why. */
    blocked: Record<string, string>;
  }[];
  readonly vdis: { uuid: string; name: string; sr: string; otherConfig: Record<string, string> }[];
  /** What is in each SR's folder, by the SR's UUID: folders with a slash, and what is in them. */
  readonly files: Record<string, string[]>;
  /** By VM UUID: `vm-data/allowvssprovider` in the live domain and in the database; null for a key that is not there. */
  readonly locks: Record<string, { live: string | null; database: string | null }>;
  /** Names; the coalescer's, the running calls' and those that only wait for xapi's collector are left out. */
  readonly tasks: string[];
  readonly sessions: number;
  /** UUIDs. */
  readonly secrets: string[];
  /** UUIDs of the disks that a control domain has attached, as an export does. */
  readonly attached: string[];
  /** The control domains' VBDs, plugged or not, by disk, and which devices there are below each `/dev`. */
  readonly dom0Vbds: Dom0Vbd[];
  readonly devices: string[];
  /** How many plugin processes run. */
  readonly plugins: number;
}

const LOCK = 'vm-data/allowvssprovider';

export async function takeInventory(pool: PoolState): Promise<PoolInventory> {
  const { db, guests } = pool;
  const files = await filesBySr(pool);
  // All else at one moment.
  const vms = db.refs('VM');
  const byUuid = (one: { uuid: string }, other: { uuid: string }): number =>
    one.uuid.localeCompare(other.uuid);
  const managed = db.refs('VDI').filter((vdi) => db.flag('VDI', vdi, 'managed'));
  return {
    vms: vms
      .map((vm) => ({
        uuid: db.text('VM', vm, 'uuid'),
        name: db.text('VM', vm, 'name_label'),
        isSnapshot: db.flag('VM', vm, 'is_a_snapshot'),
        otherConfig: db.map('VM', vm, 'other_config'),
        vifs: db
          .referrers('VIF', 'VM', vm)
          .map((vif) => `${db.text('VIF', vif, 'device')} ${db.text('VIF', vif, 'MAC')}`)
          .sort(),
        vtpms: db.referrers('VTPM', 'VM', vm).map((vtpm) => db.text('VTPM', vtpm, 'uuid')),
        disks: db.flag('VM', vm, 'is_control_domain') ? [] : disksOf(pool, vm),
        blocked: db.map('VM', vm, 'blocked_operations'),
      }))
      .sort(byUuid),
    vdis: managed
      .map((vdi) => ({
        uuid: db.text('VDI', vdi, 'uuid'),
        name: db.text('VDI', vdi, 'name_label'),
        sr: db.text('SR', db.text('VDI', vdi, 'SR'), 'uuid'),
        otherConfig: db.map('VDI', vdi, 'other_config'),
      }))
      .sort(byUuid),
    files,
    locks: Object.fromEntries(
      vms.map((vm) => {
        const live = guests.get(vm)?.xenstore.get(LOCK) ?? null;
        const database = db.map('VM', vm, 'xenstore_data')[LOCK] ?? null;
        return [db.text('VM', vm, 'uuid'), { live, database }];
      }),
    ),
    tasks: db
      .refs('task')
      .filter((task) => !db.flag('task', task, 'ofCall'))
      // Destroyed while it was pending: it goes with the collector's next pass after its end.
      .filter((task) => !Object.values(db.map('task', task, 'current_operations')).includes('destroy'))
      .map((task) => db.text('task', task, 'name_label'))
      .filter((name) => name !== 'Garbage Collection')
      .sort(),
    sessions: db.refs('session').length,
    secrets: db
      .refs('secret')
      .map((secret) => db.text('secret', secret, 'uuid'))
      .sort(),
    attached: attachedToControlDomains(pool)
      .map((vdi) => uuidOrNone(db, vdi))
      .sort(),
    dom0Vbds: dom0Vbds(pool),
    devices: await devicesOfHosts(pool),
    plugins: pool.plugins.size,
  };
}

function disksOf({ db }: PoolState, vm: string): string[] {
  return db
    .referrers('VBD', 'VM', vm)
    .filter((vbd) => db.text('VBD', vbd, 'type') === 'Disk')
    .map((vbd) => {
      const disk = uuidOrNone(db, db.text('VBD', vbd, 'VDI'));
      const mark = db.flag('VBD', vbd, 'bootable') ? ' bootable' : '';
      return `${db.text('VBD', vbd, 'userdevice')} ${disk} ${db.text('VBD', vbd, 'mode')}${mark}`;
    })
    .sort();
}

async function filesBySr(pool: PoolState): Promise<Record<string, string[]>> {
  const files: Record<string, string[]> = {};
  for (const storage of pool.storage.values()) {
    // Under the lock no chain is between two shapes.
    files[storage.uuid] = await storage.chains.run(async () => {
      const hidden = new Set(
        baseCopyUuids(pool, storage.ref).map((uuid) => basename(diskPath(storage, uuid))),
      );
      return (await listTree(storage.folder)).filter((name) => !hidden.has(name) && !isSmOwn(name)).sort();
    });
  }
  return files;
}

function baseCopyUuids({ db }: PoolState, sr: string): string[] {
  return db
    .referrers('VDI', 'SR', sr)
    .filter((vdi) => !db.flag('VDI', vdi, 'managed'))
    .map((vdi) => db.text('VDI', vdi, 'uuid'));
}

/** UUIDs of the base copies that the pool has now, by SR UUID. */
export function listBaseCopies(pool: PoolState): Record<string, string[]> {
  return Object.fromEntries(
    [...pool.storage.values()].map(({ ref, uuid }) => [uuid, baseCopyUuids(pool, ref).sort()]),
  );
}
