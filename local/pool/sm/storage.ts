import { join, parse } from 'node:path';
import { XapiFailure } from '../failure.ts';
import { Lock } from '../lock.ts';
import type { PoolState } from '../state.ts';
import type { Collector } from './collector.ts';

/** The types of SR there are here, with what sets them apart. */
export const SR_TYPES = {
  ext: { shared: false, isFiles: true, device: { device: '/dev/sda3' } },
  nfs: { shared: true, isFiles: true, device: { server: '192.0.2.10', serverpath: '/export/xen' } },
  smb: { shared: true, isFiles: true, device: { server: '//192.0.2.10/xen' } },
  file: { shared: false, isFiles: true, device: { location: '/srv/vms' } },
  // XCP-ng's own drivers of files.
  largeblock: { shared: false, isFiles: true, device: { device: '/dev/sdd' } },
  xfs: { shared: false, isFiles: true, device: { device: '/dev/sde' } },
  zfs: { shared: false, isFiles: true, device: { location: 'tank/vms' } },
  cephfs: { shared: true, isFiles: true, device: { server: '192.0.2.12', serverpath: '/xen' } },
  glusterfs: { shared: true, isFiles: true, device: { server: '192.0.2.13:/xen' } },
  moosefs: { shared: true, isFiles: true, device: { masterhost: '192.0.2.14', rootpath: '/xen' } },
  lvm: { shared: false, isFiles: false, device: { device: '/dev/sdb' } },
  lvmoiscsi: {
    shared: true,
    isFiles: false,
    device: { target: '192.0.2.11', targetIQN: 'iqn.2026-11.local.target', SCSIid: '36001405' },
  },
  /** One LUN a disk: without snapshots. */
  rawhba: { shared: true, isFiles: false, device: { SCSIid: '36001407' } },
  lvmohba: { shared: true, isFiles: false, device: { SCSIid: '36001406' } },
} as const;

export type SrType = keyof typeof SR_TYPES;

/**
 * The folder behind an SR: the mount of its hosts and, if shared, the export of its server. Of an SR of the LVM family it
 * stands for the volume group, and its files for logical volumes, which no control domain sees as files.
 */
export interface Storage {
  readonly ref: string;
  readonly uuid: string;
  readonly type: SrType;
  readonly folder: string;
  /** What new VHDs and the coalescer find; hard links need none. Infinite unless a test says otherwise. */
  freeBytes: number;
  /** The next snapshot finds no space for its second child (sm's own fault point FileSR_fail_snap2). */
  failsSnapshotHalfWay: boolean;
  /** The coalescer's process: one for an SR. */
  collector: Collector | undefined;
  /**
   * UUIDs of the disks that are QCOW2. Nobody but the pool reads such a file, which is laid out as a VHD is: what matters
   * of its format is that it is not to be found as a VHD.
   */
  readonly qcow2: Set<string>;
  /** The SR's lock of sm: scans, snapshots, destruction, and of the coalescer's work what moves files and records. */
  readonly chains: Lock;
  /** By VDI UUID: held by whoever writes into a disk or moves its file. */
  readonly disks: Map<string, Lock>;
  /** By VDI UUID: the disk's lock, held while blktap has paused the disk. */
  readonly paused: Map<string, Disposable>;
}

export function storageOf(pool: PoolState, srRef: string): Storage {
  const storage = pool.storage.get(srRef);
  if (!storage) throw new XapiFailure('HANDLE_INVALID', 'SR', srRef);
  return storage;
}

export function diskPath({ folder, qcow2 }: Storage, vdiUuid: string): string {
  return join(folder, `${vdiUuid}.${qcow2.has(vdiUuid) ? 'qcow2' : 'vhd'}`);
}

/** The UUID in the name of a disk's file, a leaf's that is about to be deleted (`OLD_…`) included. */
export function uuidOf(fileName: string): string {
  return parse(fileName).name;
}

export function diskLock({ disks }: Storage, vdiUuid: string): Lock {
  const lock = disks.get(vdiUuid) ?? new Lock();
  disks.set(vdiUuid, lock);
  return lock;
}

/** @throws XapiFailure SR_HAS_NO_PBDS when no host has the SR attached */
export function assertAttached({ db }: PoolState, srRef: string): void {
  const attached = db.referrers('PBD', 'SR', srRef).some((pbd) => db.flag('PBD', pbd, 'currently_attached'));
  if (!attached) throw new XapiFailure('SR_HAS_NO_PBDS', srRef);
}
