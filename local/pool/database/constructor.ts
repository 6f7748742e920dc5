import { XapiFailure } from '../failure.ts';
import { coerce } from './coerce.ts';
import { emptyValue, fieldsOf } from './datamodel.ts';
import { isMap, NULL_REF, type Row, type Value } from './value.ts';

/** What a class's constructor reads of a record: the fields that must be there, and the others with their defaults. */
interface Constructor {
  readonly required: readonly string[];
  readonly defaults: Row;
}

const QOS = ['qos_algorithm_type', 'qos_algorithm_params'];

/** The fields with the qualifiers RW and StaticRO, and their default values (datamodel.ml, datamodel_vm.ml). */
const CONSTRUCTORS: Record<string, Constructor> = {
  VM: {
    required: [
      ...['user_version', 'is_a_template', 'affinity', 'memory_static_max', 'memory_dynamic_max'],
      ...['memory_dynamic_min', 'memory_static_min', 'VCPUs_params', 'VCPUs_max', 'VCPUs_at_startup'],
      ...['actions_after_shutdown', 'actions_after_reboot', 'actions_after_crash'],
      ...['PV_bootloader', 'PV_kernel', 'PV_ramdisk', 'PV_args', 'PV_bootloader_args', 'PV_legacy_args'],
      ...['HVM_boot_policy', 'HVM_boot_params', 'platform', 'PCI_bus', 'other_config', 'recommendations'],
    ],
    defaults: {
      ...{ name_label: '', name_description: '', power_state: 'Halted', suspend_VDI: NULL_REF },
      ...{ memory_target: '0', actions_after_softreboot: 'soft_reboot', HVM_shadow_multiplier: 1 },
      ...{ last_boot_CPU_flags: {}, last_booted_record: '', xenstore_data: {}, ha_always_run: false },
      ...{ ha_restart_priority: '', tags: [], blocked_operations: {}, protection_policy: NULL_REF },
      ...{ is_snapshot_from_vmpp: false, snapshot_schedule: NULL_REF, is_vmss_snapshot: false },
      ...{ appliance: NULL_REF, start_delay: '0', shutdown_delay: '0', order: '0', suspend_SR: NULL_REF },
      ...{ version: '0', generation_id: '0:0', hardware_platform_version: '0', has_vendor_device: true },
      ...{ reference_label: '', domain_type: 'unspecified', NVRAM: {} },
    },
  },
  VBD: {
    required: ['VM', 'VDI', 'userdevice', 'bootable', 'mode', 'type', 'empty', 'other_config', ...QOS],
    defaults: { device: '', unpluggable: true, currently_attached: false },
  },
  VIF: {
    required: ['device', 'network', 'VM', 'MAC', 'MTU', 'other_config', ...QOS],
    defaults: {
      ...{ currently_attached: false, locking_mode: 'network_default' },
      ...{ ipv4_allowed: [], ipv6_allowed: [], trunks: [] },
    },
  },
  VDI: {
    required: ['SR', 'virtual_size', 'type', 'sharable', 'read_only', 'other_config'],
    defaults: { name_label: '', name_description: '', xenstore_data: {}, sm_config: {}, tags: [] },
  },
};

/**
 * Reads a new object's record as the generated server does (gen_server.ml): each field of the constructor by its type,
 * nothing else of what the record says, not its UUID either. A float has to be one: libraries for XML-RPC send a round
 * number as an integer, which not every release takes.
 * @throws XapiFailure INTERNAL_ERROR for a field that is missing or of another type
 */
export function readConstructor(className: string, value: Value): Value {
  if (!isMap(value)) throw new XapiFailure('INTERNAL_ERROR', 'Failure("bad __structure")');
  const fields = CONSTRUCTORS[className];
  if (!fields) return value;
  const types = fieldsOf(className);
  const read: Row = {};
  for (const field of Object.keys(types)) {
    const isRequired = fields.required.includes(field);
    if (!isRequired && !(field in fields.defaults)) continue;
    const type = types[field] ?? 'string';
    const given = value[field];
    if (given === undefined) {
      if (isRequired)
        throw new XapiFailure('INTERNAL_ERROR', `Server_helpers.Dispatcher_FieldNotFound("${field}")`);
      read[field] = fields.defaults[field] ?? emptyValue(type);
    } else {
      if (type === 'float' && typeof given === 'bigint')
        throw new XapiFailure('INTERNAL_ERROR', `Failure("Expected float, got 'I(${given})'")`);
      read[field] = coerce({ type }, given);
    }
  }
  return read;
}
