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

/** What `VDI.create` makes. */
export type NewDiskFormat = 'vhd' | 'raw' | 'qcow2';
