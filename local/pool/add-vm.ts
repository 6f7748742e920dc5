import { deepen, shareParent } from './build-chain.ts';
import { buildDisk, type DiskFormat } from './build-disk.ts';
import { buildSr } from './build-hosts.ts';
import { newVbd, newVif, newVm } from './build-vm.ts';
import type { Vss } from './guest.ts';
import { type VmHandle, vmHandle } from './handle.ts';
import type { Host, PoolState } from './state.ts';
import { SR_TYPES, type SrType } from './storage.ts';
import { enterPowerState, type PowerState } from './vm.ts';

export interface VmSpec {
  readonly name: string;
  /** A host's UUID or name; the master if left out. */
  readonly host?: string;
  /** Where its disks are: the host's local SR of files (default), or an SR of the type, which is made for the first VM. */
  readonly sr?: 'local' | SrType;
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
  readonly tags?: readonly string[];
}

/** Adds a VM with its disks, its empty CD drive and its interface. */
export async function addVm(pool: PoolState, spec: VmSpec): Promise<VmHandle> {
  const { db, settings } = pool;
  const host = findHost(pool, spec.host);
  const isTemplate = spec.kind === 'template';
  const vm = newVm(pool, {
    name_label: spec.name,
    is_a_template: isTemplate,
    affinity: host.ref,
    xenstore_data: (spec.locked ?? true) && !isTemplate ? { 'vm-data/allowvssprovider': 'false' } : {},
    ...(spec.otherConfig && { other_config: spec.otherConfig }),
    ...(spec.tags && { tags: [...spec.tags] }),
    vss: spec.vss ?? (settings.quiesce ? 'works' : 'none'),
    writing: settings.guestWrites,
  });
  const [network] = db.refs('network');
  if (network) newVif(pool, vm, network);
  const sr = await findSr(pool, host, spec.sr ?? 'local');
  const sizes = spec.kind === 'noDisk' ? [] : [spec.diskMib ?? 64, ...(spec.extraDisks ?? [])];
  for (const [device, mib] of sizes.entries()) {
    const format = device === 0 ? (spec.rootFormat ?? 'vhd') : 'vhd';
    const dataMib = spec.dataMib ?? Math.min(4, mib / 4);
    const vdi = await buildDisk(pool, { name: `${spec.name} ${device}`, sr, mib, format, dataMib });
    // xapi puts the CD drive at 3.
    newVbd(pool, vm, device < 3 ? device : device + 1, vdi);
  }
  newVbd(pool, vm, 3, null);
  const handle = vmHandle(pool, vm);
  await deepen(pool, handle, spec.baseCopies ?? 0);
  if (spec.sharedParentOf !== undefined) await shareParent(pool, handle, spec.sharedParentOf);
  const state = spec.powerState ?? (isTemplate ? 'Halted' : 'Running');
  enterPowerState(pool, vm, state, host.ref);
  return handle;
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
