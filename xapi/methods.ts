import type {
  GuestMetricsRecord,
  HostMetricsRecord,
  HostRecord,
  NetworkRecord,
  NewVbd,
  NewVdi,
  NewVif,
  NewVm,
  PbdRecord,
  PifRecord,
  PoolRecord,
  Records,
  Ref,
  SrRecord,
  StringMap,
  TaskRecord,
  VbdRecord,
  VdiRecord,
  VifRecord,
  VmMetricsRecord,
  VmRecord,
  WholeVmRecord,
  XapiClass,
} from './types.ts';

type SetOtherConfigKey<C extends XapiClass> = (ref: Ref<C>, key: string, value: string) => void;

/**
 * Every call that functions/ makes, and no other, without the session reference that comes first on the wire, with its result.
 * `get_all_records_where` is not in xapi's public datamodel but on every release; its argument is a filter such as
 * `field "is_a_snapshot" = "true"`. The outcome of a void call is `""` on the wire.
 */
export interface Methods {
  'VM.get_by_uuid': (vmUuid: string) => Ref<'VM'>;
  'VM.get_by_name_label': (name: string) => readonly Ref<'VM'>[];
  'VM.get_all_records_where': (filter: string) => Records<'VM', VmRecord>;
  'VM.get_record': (vmRef: Ref<'VM'>) => WholeVmRecord;
  'VM.get_snapshots': (vmRef: Ref<'VM'>) => readonly Ref<'VM'>[];
  'VM.get_current_operations': (vmRef: Ref<'VM'>) => StringMap;
  'VM.get_xenstore_data': (vmRef: Ref<'VM'>) => StringMap;
  /** The only call that reaches a running guest's xenstore, and then only keys under `vm-data/` and `FIST/`. */
  'VM.set_xenstore_data': (vmRef: Ref<'VM'>, data: StringMap) => void;
  'VM.get_other_config': (vmRef: Ref<'VM'>) => StringMap;
  'VM.add_to_other_config': SetOtherConfigKey<'VM'>;
  'VM.remove_from_other_config': (vmRef: Ref<'VM'>, key: string) => void;
  /** `ignoredVdiRefs` since 2021-10 (not in XCP-ng 8.2); older releases answer MESSAGE_PARAMETER_COUNT_MISMATCH. */
  'VM.snapshot': (vmRef: Ref<'VM'>, name: string, ignoredVdiRefs?: readonly Ref<'VDI'>[]) => Ref<'VM'>;
  /** MESSAGE_REMOVED since Citrix Hypervisor 8.1. */
  'VM.snapshot_with_quiesce': (vmRef: Ref<'VM'>, name: string) => Ref<'VM'>;
  /** Leaves the disks. */
  'VM.destroy': (vmRef: Ref<'VM'>) => void;
  /** Ignores what it makes anew (its UUID, blocked operations, …); BIOS strings, disks and interfaces are no part of it. */
  'VM.create': (record: NewVm) => Ref<'VM'>;
  'VM.set_tags': (vmRef: Ref<'VM'>, tags: readonly string[]) => void;
  'VM.set_name_label': (vmRef: Ref<'VM'>, name: string) => void;
  /** Once, before the first start; since 7.3. */
  'VM.set_bios_strings': (vmRef: Ref<'VM'>, strings: StringMap) => void;
  'VM.add_to_blocked_operations': (vmRef: Ref<'VM'>, operation: 'start' | 'start_on', why: string) => void;
  'VM.remove_from_blocked_operations': (vmRef: Ref<'VM'>, operation: 'start' | 'start_on') => void;
  /** Asks the guest, which needs its tools for that, and waits for it: 20 minutes, unless the pool has another time. */
  'VM.clean_shutdown': (vmRef: Ref<'VM'>) => void;
  'VM.start': (vmRef: Ref<'VM'>, paused: boolean, force: boolean) => void;
  'VM.start_on': (vmRef: Ref<'VM'>, hostRef: Ref<'host'>, paused: boolean, force: boolean) => void;
  'VM.hard_shutdown': (vmRef: Ref<'VM'>) => void;

  /** A new one is empty. FEATURE_RESTRICTED without a licence for it. */
  'VTPM.create': (vmRef: Ref<'VM'>, isUnique: boolean) => string;

  'VM_metrics.get_all_records': () => Records<'VM_metrics', VmMetricsRecord>;

  'VM_guest_metrics.get_record': (ref: Ref<'VM_guest_metrics'>) => GuestMetricsRecord;

  'VIF.get_all_records_where': (filter: string) => Records<'VIF', VifRecord>;
  /** An empty MAC is made of the VM's seed. */
  'VIF.create': (record: NewVif) => Ref<'VIF'>;
  'VIF.destroy': (vifRef: Ref<'VIF'>) => void;
  'network.get_all_records': () => Records<'network', NetworkRecord>;
  'network.get_record': (networkRef: Ref<'network'>) => NetworkRecord;
  'PIF.get_record': (pifRef: Ref<'PIF'>) => PifRecord;

  'VBD.get_all_records_where': (filter: string) => Records<'VBD', VbdRecord>;
  /** DEVICE_ALREADY_DETACHED, DEVICE_DETACH_REJECTED while the domain still uses it. */
  'VBD.unplug': (vbdRef: Ref<'VBD'>) => void;
  'VBD.destroy': (vbdRef: Ref<'VBD'>) => void;
  'VBD.create': (record: NewVbd) => Ref<'VBD'>;

  'VDI.get_by_uuid': (vdiUuid: string) => Ref<'VDI'>;
  'VDI.get_by_name_label': (name: string) => readonly Ref<'VDI'>[];
  'VDI.create': (record: NewVdi) => Ref<'VDI'>;
  'VDI.set_name_label': (vdiRef: Ref<'VDI'>, name: string) => void;
  'VDI.set_name_description': (vdiRef: Ref<'VDI'>, text: string) => void;
  'VDI.get_all_records_where': (filter: string) => Records<'VDI', VdiRecord>;
  'VDI.get_record': (vdiRef: Ref<'VDI'>) => VdiRecord;
  'VDI.get_uuid': (vdiRef: Ref<'VDI'>) => string;
  'VDI.add_to_other_config': SetOtherConfigKey<'VDI'>;
  'VDI.remove_from_other_config': (vdiRef: Ref<'VDI'>, key: string) => void;
  'VDI.destroy': (vdiRef: Ref<'VDI'>) => void;

  'SR.get_record': (srRef: Ref<'SR'>) => SrRecord;
  'SR.get_all_records_where': (filter: string) => Records<'SR', SrRecord>;
  'SR.scan': (srRef: Ref<'SR'>) => void;

  'pool.get_all_records': () => Records<'pool', PoolRecord>;

  'PBD.get_all_records_where': (filter: string) => Records<'PBD', PbdRecord>;

  'host.get_by_uuid': (hostUuid: string) => Ref<'host'>;
  'host.get_all_records': () => Records<'host', HostRecord>;
  'host.get_record': (hostRef: Ref<'host'>) => HostRecord;
  'host_metrics.get_record': (ref: Ref<'host_metrics'>) => HostMetricsRecord;
  /** That host's clock. */
  'host.get_servertime': (hostRef: Ref<'host'>) => Date;
  /** Runs `/etc/xapi.d/plugins/<plugin>` in dom0, where the arguments are visible to `ps`. */
  'host.call_plugin': (hostRef: Ref<'host'>, plugin: string, fn: string, args: StringMap) => string;

  'task.get_record': (taskRef: Ref<'task'>) => TaskRecord;
  'task.get_all_records_where': (filter: string) => Records<'task', TaskRecord>;
  'task.add_to_other_config': (taskRef: Ref<'task'>, key: string, value: string) => void;
  /** Asks only: what the task does may go on to its end, or never look. */
  'task.cancel': (taskRef: Ref<'task'>) => void;
  /** A pending task is removed only once it is complete. */
  'task.destroy': (taskRef: Ref<'task'>) => void;

  'secret.create': (record: { readonly value: string; readonly other_config: StringMap }) => Ref<'secret'>;
  'secret.get_by_uuid': (secretUuid: string) => Ref<'secret'>;
  'secret.get_all': () => readonly Ref<'secret'>[];
  'secret.get_uuid': (secretRef: Ref<'secret'>) => string;
  'secret.get_other_config': (secretRef: Ref<'secret'>) => StringMap;
  'secret.destroy': (secretRef: Ref<'secret'>) => void;
}

/** The calls that are also made as tasks. Getters, `task.*` and the `other_config` calls have no `Async.` form. */
type AlsoAsync =
  | 'VM.clean_shutdown'
  | 'VM.start'
  | 'VM.start_on'
  | 'VM.snapshot'
  | 'VM.snapshot_with_quiesce'
  | 'host.call_plugin';

type Calls = Methods & {
  [M in AlsoAsync as `Async.${M}`]: (...args: Parameters<Methods[M]>) => Ref<'task'>;
};

export type Method = keyof Calls;
export type AsyncMethod = `Async.${AlsoAsync}`;
/** What a call takes after the session reference. */
export type Arguments<M extends Method> = Parameters<Calls[M]>;
/** What a call answers; `Ref<'task'>` for an `Async.` call. */
export type Result<M extends Method> = ReturnType<Calls[M]>;
const slow: ReadonlySet<string> = new Set<Method>([
  'SR.scan',
  'VBD.unplug',
  'VDI.create',
  'VDI.destroy',
  'VM.destroy',
  'VM.hard_shutdown',
  'VM.snapshot',
  'VM.snapshot_with_quiesce',
]);

/** Whether xapi answers a call only once an SR's driver has done its work, which may take minutes. */
export function takesLong(method: string): boolean {
  return slow.has(method);
}

/** Whether a call only reads, so that it may be sent twice: in XAPI the getters, `get_…`, and nothing else here. */
export function onlyReads(method: Method): boolean {
  return /^\w+\.get_/.test(method);
}
