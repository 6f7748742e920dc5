import { XapiProtocolError } from './transport-errors.ts';

/**
 * What a pool answers, under XAPI's own field names. Only the fields that the pipeline reads are named; a record on
 * the wire has many more. Facts: xapi's datamodel. A field that younger releases added is optional.
 */

/** The XAPI classes whose references are told apart. */
export type XapiClass =
  | 'VM'
  | 'VBD'
  | 'VDI'
  | 'SR'
  | 'PBD'
  | 'host'
  | 'pool'
  | 'task'
  | 'secret'
  | 'VM_metrics'
  | 'VM_guest_metrics';

declare const referredClass: unique symbol;

/** An opaque reference to an object of class `C`; a `Ref<'VDI'>` does not pass where a `Ref<'VM'>` is wanted. */
export type Ref<C extends XapiClass> = string & { readonly [referredClass]: C };

/** What stands in a reference field that refers to nothing, such as `resident_on` of a halted VM. */
export const NULL_REF = 'OpaqueRef:NULL' as Ref<never>;

/** A whole number as XAPI writes it, in decimal digits; see {@link intOf}. */
export type IntString = string;

/** A `(string -> string) map`. */
export type StringMap = Readonly<Record<string, string>>;

export const POWER_STATES = ['Halted', 'Paused', 'Running', 'Suspended'] as const;
export type PowerState = (typeof POWER_STATES)[number];
export type TaskStatus = 'pending' | 'success' | 'failure' | 'cancelling' | 'cancelled';

export interface VmRecord {
  readonly uuid: string;
  readonly name_label: string;
  readonly name_description: string;
  readonly power_state: PowerState;
  readonly is_a_template: boolean;
  readonly is_default_template: boolean;
  readonly is_a_snapshot: boolean;
  readonly is_control_domain: boolean;
  readonly resident_on: Ref<'host'>;
  readonly affinity: Ref<'host'>;
  readonly VBDs: readonly Ref<'VBD'>[];
  readonly snapshots: readonly Ref<'VM'>[];
  readonly snapshot_of: Ref<'VM'>;
  /** 1970-01-01 for a VM that is no snapshot. */
  readonly snapshot_time: Date;
  /** Of a snapshot: `power-state-at-snapshot` and `disk-snapshot-type` (`crash_consistent`, or `quiesced`). */
  readonly snapshot_info: StringMap;
  /** Of a quiesced snapshot: what the guest's VSS requestor called it; else empty. */
  readonly transportable_snapshot_id: string;
  readonly parent: Ref<'VM'>;
  readonly children: readonly Ref<'VM'>[];
  readonly other_config: StringMap;
  /** The database's copy, which the guest's live xenstore may differ from. */
  readonly xenstore_data: StringMap;
  readonly platform: StringMap;
  readonly tags: readonly string[];
  readonly allowed_operations: readonly string[];
  /** Which operation each task is carrying out on this VM, by the task's reference. */
  readonly current_operations: StringMap;
  readonly blocked_operations: StringMap;
  readonly metrics: Ref<'VM_metrics'>;
  readonly guest_metrics: Ref<'VM_guest_metrics'>;
  readonly memory_static_max: IntString;
  readonly VCPUs_max: IntString;
  readonly HVM_boot_policy: string;
  readonly HVM_boot_params: StringMap;
  readonly PV_bootloader: string;
  readonly domain_type?: 'hvm' | 'pv' | 'pvh' | 'pv_in_pvh' | 'unspecified';
}

export interface VmMetricsRecord {
  readonly uuid: string;
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
  /** The guest's name of it, such as `xvda`; empty until it was plugged once. */
  readonly device: string;
  /** The position, `"0"` for the root disk. */
  readonly userdevice: string;
  readonly bootable: boolean;
  readonly mode: 'RO' | 'RW';
  readonly type: 'CD' | 'Disk' | 'Floppy';
  readonly empty: boolean;
  readonly currently_attached: boolean;
  readonly other_config: StringMap;
}

export interface VdiRecord {
  readonly uuid: string;
  readonly name_label: string;
  readonly name_description: string;
  readonly SR: Ref<'SR'>;
  readonly VBDs: readonly Ref<'VBD'>[];
  /** In bytes. */
  readonly virtual_size: IntString;
  /** In bytes. */
  readonly physical_utilisation: IntString;
  readonly type: string;
  readonly sharable: boolean;
  readonly read_only: boolean;
  /** False for a base copy that only other disks refer to. */
  readonly managed: boolean;
  readonly missing: boolean;
  readonly location: string;
  readonly is_a_snapshot: boolean;
  readonly snapshot_of: Ref<'VDI'>;
  readonly snapshots: readonly Ref<'VDI'>[];
  readonly snapshot_time: Date;
  readonly on_boot: 'persist' | 'reset';
  readonly other_config: StringMap;
  /** `vhd-parent` is the UUID of the parent in the chain, absent where there is none. */
  readonly sm_config: StringMap;
  readonly tags: readonly string[];
  readonly allowed_operations: readonly string[];
  readonly current_operations: StringMap;
  readonly cbt_enabled?: boolean;
}

export interface SrRecord {
  readonly uuid: string;
  readonly name_label: string;
  readonly name_description: string;
  /** Such as `ext`, `nfs`, `lvm`, `lvmoiscsi`, `iso`, `udev`. */
  readonly type: string;
  readonly content_type: string;
  readonly shared: boolean;
  readonly VDIs: readonly Ref<'VDI'>[];
  readonly PBDs: readonly Ref<'PBD'>[];
  /** In bytes. */
  readonly physical_size: IntString;
  /** In bytes. */
  readonly physical_utilisation: IntString;
  /** In bytes. */
  readonly virtual_allocation: IntString;
  readonly other_config: StringMap;
  readonly sm_config: StringMap;
  readonly tags: readonly string[];
  /** What its driver can do, without what cannot be done while something else is under way. */
  readonly allowed_operations: readonly string[];
  readonly current_operations: StringMap;
}

export interface PbdRecord {
  readonly uuid: string;
  readonly host: Ref<'host'>;
  readonly SR: Ref<'SR'>;
  readonly currently_attached: boolean;
  readonly device_config: StringMap;
  readonly other_config: StringMap;
}

export interface HostRecord {
  readonly uuid: string;
  readonly name_label: string;
  readonly name_description: string;
  readonly hostname: string;
  readonly address: string;
  /** False in maintenance mode: no VM starts there. */
  readonly enabled: boolean;
  readonly resident_VMs: readonly Ref<'VM'>[];
  readonly control_domain?: Ref<'VM'>;
  readonly PBDs: readonly Ref<'PBD'>[];
  /** Holds `product_brand`, `product_version` and, of xapi itself, `xapi`. */
  readonly software_version: StringMap;
  readonly other_config: StringMap;
  readonly tags: readonly string[];
}

export interface PoolRecord {
  readonly uuid: string;
  /** Empty for a single host that was never made a pool. */
  readonly name_label: string;
  readonly name_description: string;
  readonly master: Ref<'host'>;
  readonly default_SR: Ref<'SR'>;
  readonly ha_enabled: boolean;
  readonly other_config: StringMap;
  readonly tags: readonly string[];
}

export interface TaskRecord {
  readonly uuid: string;
  /** The call's name, such as `Async.VM.snapshot`. */
  readonly name_label: string;
  readonly name_description: string;
  readonly created: Date;
  /** 1970-01-01 while pending. */
  readonly finished: Date;
  /** Once it is not `pending` it never changes again; xapi itself never sets `cancelling`. */
  readonly status: TaskStatus;
  /** 0 to 1. */
  readonly progress: number;
  readonly resident_on: Ref<'host'>;
  /** XML of one value, or empty; read it with the session's `result`. */
  readonly result: string;
  /** Code and parameters of the failure. */
  readonly error_info: readonly string[];
  readonly other_config: StringMap;
  readonly allowed_operations: readonly string[];
  readonly current_operations: StringMap;
  readonly subtask_of: Ref<'task'>;
  readonly subtasks: readonly Ref<'task'>[];
}

export interface SecretRecord {
  readonly uuid: string;
  readonly value: string;
  readonly other_config: StringMap;
}

/**
 * The number that XAPI wrote as a string.
 * @throws XapiProtocolError when it is no whole number or not exact in a double (above 2^53 - 1, 8 PiB)
 */
export function intOf(text: IntString): number {
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new XapiProtocolError(`XAPI gave ${JSON.stringify(text)} where a whole number was expected`);
  }
  return value;
}
