import { randomUUID } from 'node:crypto';
import { NULL_REF, type Row } from '../database/value.ts';
import { XapiFailure } from '../failure.ts';
import type { Context, PoolState } from '../state.ts';
import { updateAllowedOperations } from './vm-operations.ts';

const MIB = 1024 ** 2;

/**
 * `VM.create` (xapi_vm.ml): a record, of which nothing is checked before the VM starts, not its memory either. A seed for
 * MACs is made if there is none. What the record says of blocked operations is dropped, and so is a suspend image unless
 * the VM is to be a suspended one; BIOS strings, disks and interfaces are none of its fields.
 * @throws XapiFailure VM_BAD_POWER_STATE for a suspended VM without what it needs to be resumed
 */
function createVm({ pool }: Context, args: Row): string {
  const { db, clock, settings } = pool;
  const suspended = args.power_state === 'Suspended';
  const flags = Object.keys(Object(args.last_boot_CPU_flags)).length;
  const canResume = flags > 0 && args.last_booted_record !== '' && args.suspend_VDI !== NULL_REF;
  const metrics = db.create('VM_metrics', { last_updated: clock.now(), current_domain_type: 'unspecified' });
  const vm = db.create('VM', {
    ...args,
    blocked_operations: {},
    protection_policy: NULL_REF,
    is_snapshot_from_vmpp: false,
    snapshot_schedule: NULL_REF,
    is_vmss_snapshot: false,
    power_state: suspended ? 'Suspended' : 'Halted',
    ...(!suspended && { suspend_VDI: NULL_REF, last_booted_record: '', last_boot_CPU_flags: {} }),
    domain_type: args.domain_type === 'unspecified' ? domainType(args) : (args.domain_type ?? ''),
    other_config: { mac_seed: randomUUID(), ...Object(args.other_config) },
    resident_on: NULL_REF,
    domid: '-1',
    memory_overhead: String(memoryOverhead(args)),
    hardware_platform_version: hardwareVersion(args),
    metrics,
    secureboot_certificates_state: 'ok',
    // The habits of a guest that an operator has installed: what it can do lies on its disk.
    writing: settings.guestWrites,
  });
  if (suspended && !canResume) {
    db.destroy('VM', vm);
    throw new XapiFailure('VM_BAD_POWER_STATE', vm, 'halted', 'suspended');
  }
  updateAllowedOperations(pool, vm);
  return vm;
}

/** What a vendor's device needs at least (xapi_vm_helpers.ml, update_vm_virtual_hardware_platform_version). */
function hardwareVersion({ has_vendor_device, hardware_platform_version = '0' }: Row): string {
  return has_vendor_device === true
    ? String(Math.max(2, Number(hardware_platform_version)))
    : String(hardware_platform_version);
}

function domainType({ HVM_boot_policy }: Row): string {
  return HVM_boot_policy === '' ? 'pv' : 'hvm';
}

/** About what xapi reckons for shadow pages and the domain itself (memory.ml, HVM.full_config). */
export function memoryOverhead(vm: Readonly<Row>): number {
  const mib = Number(vm.memory_static_max ?? 0) / MIB;
  const shadow = Math.ceil((mib / 128 + Number(vm.VCPUs_max ?? 0)) * Number(vm.HVM_shadow_multiplier ?? 1));
  return (shadow + 10) * MIB;
}

const SETTABLE = [
  ...['bios-vendor', 'bios-version', 'system-manufacturer', 'system-product-name', 'system-version'],
  ...['system-serial-number', 'baseboard-manufacturer', 'baseboard-product-name', 'baseboard-version'],
  ...['baseboard-serial-number', 'baseboard-asset-tag', 'baseboard-location-in-chassis'],
  'enclosure-asset-tag',
];
const LONGEST_BIOS_STRING = 512;

/** What a VM gets that has none of its own when it first starts (constants.ml). */
export const GENERIC_BIOS_STRINGS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(SETTABLE.map((key) => [key, ''])),
  ...{ 'bios-vendor': 'Xen', 'system-manufacturer': 'Xen', 'system-product-name': 'HVM domU' },
  ...{ 'hp-rombios': '', 'oem-1': 'Xen' },
  'oem-2': 'MS_VM_CERT/SHA1/bdbeb6e0a816d43fa6d3fe8aaef04c2bad9d3e3d',
};

/** Once only, and of listed keys; the others get what is usual (xapi_vm.ml, xapi_vm_helpers.ml). */
function setBiosStrings({ pool: { db } }: Context, vm: string, value: Record<string, string>): void {
  if (Object.keys(db.map('VM', vm, 'bios_strings')).length > 0)
    throw new XapiFailure('VM_BIOS_STRINGS_ALREADY_SET');
  for (const [key, text] of Object.entries(value)) {
    const refuse = (reason: string) => new XapiFailure('INVALID_VALUE', key, reason);
    if (!SETTABLE.includes(key)) throw refuse('Unknown key');
    if (text === '') throw refuse('Value provided is empty');
    if (Buffer.byteLength(text) > LONGEST_BIOS_STRING)
      throw refuse(`${text} has length more than ${LONGEST_BIOS_STRING} characters`);
    if (/[^ -~]/.test(text)) throw refuse(`${text} has non-printable ASCII characters`);
  }
  db.set('VM', vm, 'bios_strings', { ...GENERIC_BIOS_STRINGS, ...value });
}

/** A change of the VM's blocked operations shows in those that are allowed at once. */
function blocked(change: (pool: PoolState, vm: string, key: string, value: string) => Row) {
  return ({ pool }: Context, vm: string, key: string, value: string) => {
    pool.db.row('VM', vm);
    pool.db.set('VM', vm, 'blocked_operations', change(pool, vm, key, value));
    updateAllowedOperations(pool, vm);
  };
}

function addBlocked({ db }: PoolState, vm: string, key: string, value: string): Row {
  const before = db.map('VM', vm, 'blocked_operations');
  if (key in before) throw new XapiFailure('MAP_DUPLICATE_KEY', 'VM', 'blocked_operations', vm, key);
  return { ...before, [key]: value };
}

function removeBlocked({ db }: PoolState, vm: string, key: string): Row {
  const { [key]: _gone, ...rest } = db.map('VM', vm, 'blocked_operations');
  return rest;
}

export const vmCreateCalls = {
  'VM.create': createVm,
  'VM.set_bios_strings': setBiosStrings,
  'VM.add_to_blocked_operations': blocked(addBlocked),
  'VM.remove_from_blocked_operations': blocked(removeBlocked),
  'VM.set_blocked_operations': ({ pool }: Context, vm: string, value: Row) => {
    pool.db.set('VM', vm, 'blocked_operations', value);
    updateAllowedOperations(pool, vm);
  },
};
