import type { Session } from '../xapi/session.ts';
import type { HostRecord, VbdRecord, VdiRecord, VmRecord } from '../xapi/types.ts';

/** A VM that is no template, snapshot or control domain, with what it stands on. */
export interface PoolVm {
  readonly vm: VmRecord;
  /** The disk at position 0. */
  readonly rootDisk?: VdiRecord;
  /** On which it runs. */
  readonly host?: HostRecord;
}

/** Selects the VMs that can run: xapi's table of VMs has templates, snapshots and control domains as well. */
export const REAL_VMS =
  'field "is_a_template" = "false" and field "is_a_snapshot" = "false" and field "is_control_domain" = "false"';
const ROOT_VBDS = 'field "userdevice" = "0" and field "type" = "Disk"';
/** The disks of snapshots would be most of the answer in a pool with daily backups. */
const LIVE_VDIS = 'field "managed" = "true" and field "is_a_snapshot" = "false"';

/** The VMs of a pool. Four calls, however many there are. */
export async function vmsOfPool(xapi: Session): Promise<PoolVm[]> {
  const [vms, vbds, vdis, hosts] = await Promise.all([
    xapi.call('VM.get_all_records_where', REAL_VMS),
    xapi.call('VBD.get_all_records_where', ROOT_VBDS),
    xapi.call('VDI.get_all_records_where', LIVE_VDIS),
    xapi.call('host.get_all_records'),
  ]);
  const roots = new Map<string, VbdRecord>(Object.values<VbdRecord>(vbds).map((vbd) => [vbd.VM, vbd]));
  return Object.entries<VmRecord>(vms).map(([vmRef, vm]) => {
    const vbd = roots.get(vmRef);
    const rootDisk = vbd && vdis[vbd.VDI];
    const host = hosts[vm.resident_on];
    return { vm, ...(rootDisk && { rootDisk }), ...(host && { host }) };
  });
}
