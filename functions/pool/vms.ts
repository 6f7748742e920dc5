import type { Session } from '../../xapi/session.ts';
import { type HostRecord, NULL_REF, type VbdRecord, type VmRecord } from '../../xapi/types.ts';
import { type Disk, diskOf } from './disk.ts';
import { rootDiskOf } from './root-disk.ts';

/** A VM that is no template, snapshot or control domain, with what it stands on. */
export interface PoolVm {
  readonly vm: VmRecord;
  /** The disk that it boots from; absent where it has none, or where that is in doubt. */
  readonly rootDisk?: Disk;
  /** Why that is in doubt. */
  readonly rootDoubt?: string;
  /** The host that it runs on. */
  readonly host?: HostRecord;
}

/** Selects the VMs that can run: xapi's table of VMs has templates, snapshots and control domains as well. */
export const REAL_VMS =
  'field "is_a_template" = "false" and field "is_a_snapshot" = "false" and field "is_control_domain" = "false"';
const DISK_VBDS = 'field "type" = "Disk"';
/** The disks of snapshots would be most of the answer in a pool with daily backups. */
const LIVE_VDIS = 'field "managed" = "true" and field "is_a_snapshot" = "false"';

/** The VMs of a pool. Four calls, however many there are. */
export async function vmsOfPool(xapi: Session): Promise<PoolVm[]> {
  const [vms, vbds, vdis, hosts] = await Promise.all([
    xapi.call('VM.get_all_records_where', REAL_VMS),
    xapi.call('VBD.get_all_records_where', DISK_VBDS),
    xapi.call('VDI.get_all_records_where', LIVE_VDIS),
    xapi.call('host.get_all_records'),
  ]);
  const attached: ReadonlyMap<string, VbdRecord[]> = Map.groupBy(
    Object.values<VbdRecord>(vbds).filter((vbd) => vbd.VDI !== NULL_REF),
    (vbd) => vbd.VM,
  );
  return Object.entries<VmRecord>(vms).map(([vmRef, vm]) => {
    const disks = (attached.get(vmRef) ?? []).flatMap((vbd) => {
      const vdi = vdis[vbd.VDI];
      return vdi ? [diskOf(vbd, vdi)] : [];
    });
    const root = disks.length > 0 ? rootOf(vm, disks) : {};
    const host = hosts[vm.resident_on];
    return { vm, ...root, ...(host && { host }) };
  });
}

function rootOf(vm: VmRecord, disks: readonly Disk[]): Pick<PoolVm, 'rootDisk' | 'rootDoubt'> {
  const root = rootDiskOf(vm, disks);
  return 'doubt' in root ? { rootDoubt: root.doubt } : { rootDisk: root };
}
