import { XapiProtocolError } from './transport-errors.ts';

/**
 * What a pool answers, under XAPI's own field names. Only the fields that are read here are named; a record on the
 * wire has many more. Facts: xapi's datamodel.
 */

/** The XAPI classes whose references are told apart. */
export type XapiClass =
  | 'VM'
  | 'VBD'
  | 'VDI'
  | 'VIF'
  | 'network'
  | 'PIF'
  | 'SR'
  | 'pool'
  | 'PBD'
  | 'host'
  | 'host_metrics'
  | 'task'
  | 'secret'
  | 'VM_metrics'
  | 'VM_guest_metrics';

declare const referredClass: unique symbol;

/** An opaque reference to an object of class `C`; a `Ref<'VDI'>` does not pass where a `Ref<'VM'>` is wanted. */
export type Ref<C extends XapiClass> = string & { readonly [referredClass]: C };

/** What stands in a reference field that refers to nothing, such as `resident_on` of a halted VM. */
export const NULL_REF = 'OpaqueRef:NULL' as Ref<never>;

/** A whole number as XAPI writes it, in decimal digits, which {@link intOf} alone reads. */
export type IntString = string;

/** Records of a class by their references, as the `get_all_records` calls give them; see {@link entriesOf}. */
export type Records<C extends XapiClass, R> = Readonly<Record<Ref<C>, R>>;

/** A `(string -> string) map`. */
export type StringMap = Readonly<Record<string, string>>;

export const POWER_STATES = ['Halted', 'Paused', 'Running', 'Suspended'] as const;
export type PowerState = (typeof POWER_STATES)[number];
export type TaskStatus = 'pending' | 'success' | 'failure' | 'cancelling' | 'cancelled';

export interface VmRecord {
  readonly uuid: string;
  readonly name_label: string;
  readonly power_state: PowerState;
  readonly is_a_template: boolean;
  readonly is_a_snapshot: boolean;
  readonly is_control_domain: boolean;
  readonly resident_on: Ref<'host'>;
  readonly snapshot_of: Ref<'VM'>;
  /** 1970-01-01 for a VM that is no snapshot. */
  readonly snapshot_time: Date;
  /** For a snapshot: `power-state-at-snapshot` and `disk-snapshot-type` (`crash_consistent` or `quiesced`). */
  readonly snapshot_info: StringMap;
  /** For a quiesced snapshot, the name that the guest's VSS requestor gave it; empty otherwise. */
  readonly transportable_snapshot_id: string;
  readonly other_config: StringMap;
  /** The database's copy, which the guest's live xenstore may differ from. */
  readonly xenstore_data: StringMap;
  readonly tags: readonly string[];
  /** Which operation each task is carrying out on this VM, by the task's reference. */
  readonly current_operations: StringMap;
  /** What its operators do not want to be done with it, and why; by operation. */
  readonly blocked_operations: StringMap;
  readonly metrics: Ref<'VM_metrics'>;
  readonly memory_static_max: IntString;
  readonly VCPUs_max: IntString;
  readonly HVM_boot_policy: string;
  readonly HVM_boot_params: StringMap;
  readonly PV_bootloader: string;
}

/** What else a VM's record says, of which a restore makes a VM. Optional is what older releases do not have. */
export interface WholeVmRecord extends VmRecord {
  readonly name_description: string;
  readonly memory_dynamic_max: IntString;
  readonly memory_dynamic_min: IntString;
  readonly memory_static_min: IntString;
  readonly VCPUs_at_startup: IntString;
  readonly VCPUs_params: StringMap;
  readonly actions_after_shutdown: string;
  readonly actions_after_reboot: string;
  readonly actions_after_crash: string;
  readonly HVM_shadow_multiplier: number;
  readonly platform: StringMap;
  readonly bios_strings: StringMap;
  readonly hardware_platform_version: IntString;
  readonly guest_metrics: Ref<'VM_guest_metrics'>;
  readonly VTPMs: readonly string[];
  /** What may be done with it now. */
  readonly allowed_operations: readonly string[];
  readonly has_vendor_device?: boolean;
  readonly domain_type?: string;
  readonly NVRAM?: StringMap;
}

/** Of what VM.create makes a VM: the fields that every release wants, and some that newer ones take. */
export interface NewVm
  extends Pick<
    WholeVmRecord,
    | 'name_label'
    | 'name_description'
    | 'is_a_template'
    | 'memory_static_max'
    | 'memory_dynamic_max'
    | 'memory_dynamic_min'
    | 'memory_static_min'
    | 'VCPUs_params'
    | 'VCPUs_max'
    | 'VCPUs_at_startup'
    | 'actions_after_shutdown'
    | 'actions_after_reboot'
    | 'actions_after_crash'
    | 'PV_bootloader'
    | 'HVM_boot_policy'
    | 'HVM_boot_params'
    | 'platform'
    | 'other_config'
    | 'tags'
    | 'hardware_platform_version'
    | 'has_vendor_device'
    | 'domain_type'
    | 'NVRAM'
  > {
  readonly user_version: string;
  readonly affinity: Ref<'host'>;
  readonly PV_kernel: string;
  readonly PV_ramdisk: string;
  readonly PV_args: string;
  readonly PV_bootloader_args: string;
  readonly PV_legacy_args: string;
  /** A float, whole ones too. */
  readonly HVM_shadow_multiplier?: number;
  readonly generation_id: string;
  readonly PCI_bus: string;
  readonly recommendations: string;
}

/** Of what VDI.create makes a disk. */
export interface NewVdi {
  readonly name_label: string;
  readonly name_description: string;
  readonly SR: Ref<'SR'>;
  readonly virtual_size: IntString;
  readonly type: 'user';
  readonly sharable: boolean;
  readonly read_only: boolean;
  readonly other_config: StringMap;
  readonly xenstore_data: StringMap;
  readonly sm_config: StringMap;
  readonly tags: readonly string[];
}

export interface NewVbd {
  readonly VM: Ref<'VM'>;
  readonly VDI: Ref<'VDI'>;
  readonly userdevice: string;
  readonly bootable: boolean;
  readonly mode: 'RO' | 'RW';
  readonly type: 'CD' | 'Disk';
  readonly unpluggable: boolean;
  readonly empty: boolean;
  readonly other_config: StringMap;
  readonly qos_algorithm_type: string;
  readonly qos_algorithm_params: StringMap;
}

export interface NewVif {
  readonly device: string;
  readonly network: Ref<'network'>;
  readonly VM: Ref<'VM'>;
  readonly MAC: string;
  readonly MTU: IntString;
  readonly other_config: StringMap;
  readonly qos_algorithm_type: string;
  readonly qos_algorithm_params: StringMap;
}

export interface GuestMetricsRecord {
  readonly PV_drivers_detected: boolean;
}

export interface VifRecord {
  readonly VM: Ref<'VM'>;
  readonly device: string;
  readonly network: Ref<'network'>;
  readonly MAC: string;
  readonly MTU: IntString;
}

export interface NetworkRecord {
  readonly uuid: string;
  readonly name_label: string;
  readonly PIFs: readonly Ref<'PIF'>[];
}

export interface PifRecord {
  /** -1 for one without a tag. */
  readonly VLAN: IntString;
}

export interface VmMetricsRecord {
  /** When the VM was last started; 1970-01-01 if never. */
  readonly start_time: Date;
  /** When the VM was made; 1970-01-01 where xapi does not know. */
  readonly install_time: Date;
}

export interface VbdRecord {
  readonly uuid: string;
  readonly VM: Ref<'VM'>;
  /** {@link NULL_REF} in an empty CD drive. */
  readonly VDI: Ref<'VDI'>;
  /** The position, `"0"` for the root disk. */
  readonly userdevice: string;
  readonly bootable: boolean;
  readonly mode: 'RO' | 'RW';
  readonly type: 'CD' | 'Disk' | 'Floppy';
  readonly unpluggable: boolean;
  readonly other_config: StringMap;
  readonly qos_algorithm_type: string;
  readonly qos_algorithm_params: StringMap;
}

export interface VdiRecord {
  readonly uuid: string;
  readonly name_label: string;
  readonly name_description: string;
  readonly SR: Ref<'SR'>;
  readonly VBDs: readonly Ref<'VBD'>[];
  /** In bytes. */
  readonly virtual_size: IntString;
  readonly is_a_snapshot: boolean;
  /** False for base copies. */
  readonly managed: boolean;
  readonly snapshot_time: Date;
  readonly other_config: StringMap;
  /** `vhd-parent` is the UUID of the parent in the chain, absent where there is none. */
  readonly sm_config: StringMap;
}

export interface SrRecord {
  readonly uuid: string;
  readonly name_label: string;
  /** Such as `ext`, `nfs`, `lvm`, `lvmoiscsi`, `iso`, `udev`. */
  readonly type: string;
  /** What its driver can do, without what cannot be done while something else is under way. */
  readonly allowed_operations: readonly string[];
  readonly current_operations: StringMap;
  /** `iso` for one of CD images. */
  readonly content_type: string;
  /** Bytes; 0 or -1 where the driver does not know. */
  readonly physical_size: IntString;
  readonly physical_utilisation: IntString;
  readonly sm_config: StringMap;
}

export interface PoolRecord {
  readonly uuid: string;
  /** {@link NULL_REF} where there is none. */
  readonly default_SR: Ref<'SR'>;
}

export interface PbdRecord {
  readonly host: Ref<'host'>;
  readonly currently_attached: boolean;
}

export interface HostRecord {
  readonly uuid: string;
  readonly name_label: string;
  /** False in maintenance mode: no VM starts there. */
  readonly enabled: boolean;
  readonly metrics: Ref<'host_metrics'>;
  /** Holds `product_brand`, `product_version` and, of xapi itself, `xapi`. */
  readonly software_version: StringMap;
}

export interface HostMetricsRecord {
  /** Whether its heartbeats come, or stopped less than 10 minutes ago. */
  readonly live: boolean;
}

export interface TaskRecord {
  readonly uuid: string;
  /** The call's name, such as `Async.VM.snapshot`. */
  readonly name_label: string;
  /** Once it is not `pending` it never changes again; xapi itself never sets `cancelling`. */
  readonly status: TaskStatus;
  /** XML of one value, or empty. */
  readonly result: string;
  /** Code and parameters of the failure. */
  readonly error_info: readonly string[];
  readonly other_config: StringMap;
  /** `destroy`, for one that was destroyed while it was pending and goes once it is complete. */
  readonly current_operations: StringMap;
}

/**
 * The number that XAPI wrote as a string.
 * @param least what it may be at least: -1 where XAPI says so of something that is not known
 * @throws XapiProtocolError when it is no whole number, below `least`, or not exact in a double (above 2^53 - 1, 8 PiB)
 */
export function intOf(text: IntString, least = 0): number {
  const value = Number(text);
  if (/^-?\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value;
  const shown = JSON.stringify(String(text).slice(0, 40));
  throw new XapiProtocolError(`XAPI gave ${shown} where a whole number of at least ${least} was expected`);
}

/** Each record with its reference, which the keys of an object lose their class as. */
export function entriesOf<C extends XapiClass, R>(records: Records<C, R>): [Ref<C>, R][] {
  return Object.entries(records) as [Ref<C>, R][];
}
