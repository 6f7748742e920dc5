import { enterPowerState, type PowerState } from '../classes/vm.ts';
import { isRemoved } from '../database/release.ts';
import { type VmHandle, vmHandle } from '../handle.ts';
import { SR_TYPES, type SrType } from '../sm/types.ts';
import type { Host, PoolState, Vss } from '../state.ts';
import { deepen, shareParent } from './chain.ts';
import { buildDisk, type DiskFormat } from './disk.ts';
import { addHardware, type HardwareSpec, hardwareOf } from './hardware.ts';
import { buildSr } from './hosts.ts';
import { newVbd, newVm } from './vm.ts';

/** One disk of a new VM; what is left out is as `VmSpec` says it for all. */
export interface DiskSpec {
  /** Its `userdevice`; the first that neither another disk nor the CD drive has. */
  readonly device?: number;
  /** Device 0 is, others are not. */
  readonly bootable?: boolean;
  readonly sr?: 'local' | SrType;
  readonly mib?: number;
  readonly format?: DiskFormat;
  /** The VM's name and the device. */
  readonly name?: string;
}

export interface VmSpec extends HardwareSpec {
  /** Any text: nothing of it is looked at. */
  readonly name: string;
  /** A host's UUID or name; the master if left out. */
  readonly host?: string;
  /** Where its disks are: the host's local SR of files (default), or an SR of the type, which is made for the first VM. */
  readonly sr?: 'local' | SrType;
  /** Its disks in this order, in the place of one by `diskMib` and `rootFormat` and those of `extraDisks`. */
  readonly disks?: readonly DiskSpec[];
  readonly diskMib?: number;
  /** Random data in each disk from the start; 4 MiB, or a quarter of a smaller disk. */
  readonly dataMib?: number;
  /** Sizes in MiB of further disks, on the same SR. */
  readonly extraDisks?: readonly number[];
  readonly powerState?: PowerState;
  /** How many base copies the root disk already stands on, each with some data. */
  readonly baseCopies?: number;
  /** Another VM, whose root disk shares its newest base copy with this one's, as clones of one image do. */
  readonly sharedParentOf?: string;
  /** Where its empty CD drive is, 3 if left out; null for none. */
  readonly cd?: { readonly device: number; readonly bootable?: boolean } | null;
  /** What it boots from: firmware and order go into `HVM_boot_params`; `bios` and `cdn` if left out. */
  readonly boot?: { readonly firmware?: 'bios' | 'uefi'; readonly order?: string };
  readonly kind?: 'vm' | 'template' | 'noDisk';
  readonly rootFormat?: DiskFormat;
  /** How its guest's VSS behaves; by default it works on releases that have quiesced snapshots. */
  readonly vss?: Vss;
  /** False for a guest without XenServer's agent: no guest metrics, no hot-plugging. */
  readonly agent?: boolean;
  /** How long its guest takes to shut down; as all do if left out. */
  readonly shutdownSeconds?: number;
  /** Locked (default): `vm-data/allowvssprovider` is `false`. */
  readonly locked?: boolean;
  readonly otherConfig?: Record<string, string>;
  readonly tags?: readonly string[];
}

/** Adds a VM with its interfaces, its disks and its empty CD drive. */
export async function addVm(pool: PoolState, spec: VmSpec): Promise<VmHandle> {
  const { settings } = pool;
  const host = findHost(pool, spec.host);
  const isTemplate = spec.kind === 'template';
  const vm = newVm(pool, {
    name_label: spec.name,
    is_a_template: isTemplate,
    affinity: host.ref,
    xenstore_data: (spec.locked ?? true) && !isTemplate ? { 'vm-data/allowvssprovider': 'false' } : {},
    ...(spec.otherConfig && { other_config: spec.otherConfig }),
    HVM_boot_params: { firmware: spec.boot?.firmware ?? 'bios', order: spec.boot?.order ?? 'cdn' },
    ...(spec.tags && { tags: [...spec.tags] }),
    ...hardwareOf(spec),
    vss: spec.vss ?? (isRemoved(settings.release, 'VM.snapshot_with_quiesce') ? 'none' : 'works'),
    writing: settings.guestWrites,
    withoutAgent: spec.agent === false,
    ...(spec.shutdownSeconds !== undefined && { shutdownSeconds: spec.shutdownSeconds }),
  });
  addHardware(pool, vm, spec);
  const cd = spec.cd === undefined ? { device: CD_DEVICE } : spec.cd;
  for (const [index, disk] of numbered(disksOf(spec), cd?.device).entries()) {
    const { device, mib = spec.diskMib ?? 64 } = disk;
    const vdi = await buildDisk(pool, {
      name: disk.name ?? `${spec.name} ${index}`,
      sr: await findSr(pool, host, disk.sr ?? spec.sr ?? 'local'),
      mib,
      format: disk.format ?? 'vhd',
      dataMib: spec.dataMib ?? Math.min(4, mib / 4),
      system: { firmware: spec.boot?.firmware ?? 'bios', hasAgent: spec.agent ?? true },
    });
    newVbd(pool, vm, { device, vdi, bootable: disk.bootable ?? device === 0 });
  }
  if (cd) newVbd(pool, vm, { device: cd.device, vdi: null, bootable: cd.bootable ?? false });
  const handle = vmHandle(pool, vm);
  await deepen(pool, handle, spec.baseCopies ?? 0);
  if (spec.sharedParentOf !== undefined) await shareParent(pool, handle, spec.sharedParentOf);
  const state = spec.powerState ?? (isTemplate ? 'Halted' : 'Running');
  enterPowerState(pool, vm, state, host.ref);
  return handle;
}

/** xapi's templates put the CD drive there. */
const CD_DEVICE = 3;

function disksOf({ kind, disks, rootFormat = 'vhd', extraDisks = [] }: VmSpec): readonly DiskSpec[] {
  if (kind === 'noDisk') return [];
  return disks ?? [{ format: rootFormat }, ...extraDisks.map((mib) => ({ mib }))];
}

function numbered(disks: readonly DiskSpec[], cd: number | undefined): (DiskSpec & { device: number })[] {
  const taken = new Set([...disks.map(({ device }) => device), cd]);
  return disks.map((disk) => {
    let device = disk.device ?? 0;
    while (disk.device === undefined && taken.has(device)) device += 1;
    taken.add(device);
    return { ...disk, device };
  });
}

function findHost({ hosts }: PoolState, wanted: string | undefined): Host {
  const host =
    wanted === undefined ? hosts[0] : hosts.find(({ uuid, name }) => uuid === wanted || name === wanted);
  if (!host) throw new Error(`The pool has no host ${wanted}`);
  return host;
}

async function findSr(pool: PoolState, host: Host, kind: 'local' | SrType): Promise<string> {
  const { db, hosts } = pool;
  const type = kind === 'local' ? 'ext' : kind;
  const sr = db
    .referrers('PBD', 'host', host.ref)
    .map((pbd) => db.text('PBD', pbd, 'SR'))
    .find((each) => db.text('SR', each, 'type') === type);
  if (sr) return sr;
  return buildSr(pool, { name: `${type} storage`, type, hosts: SR_TYPES[type].shared ? hosts : [host] });
}
