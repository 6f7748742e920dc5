import type { Database } from '../database/database.ts';
import { XapiFailure } from '../failure.ts';

/**
 * What a VM's `platform` may not say, which the host that is to run it finds out (vm_platform.ml, sanity_check; xapi_vm.ml,
 * assert_memory_constraints).
 * @throws XapiFailure INVALID_VALUE, VCPU_MAX_NOT_CORES_PER_SOCKET_MULTIPLE, MEMORY_CONSTRAINT_VIOLATION_MAXPIN
 */
export function assertPlatform(db: Database, vm: string): void {
  const platform = db.map('VM', vm, 'platform');
  const nested = platform['nested-virt']?.toLowerCase() ?? 'false';
  if (!['true', '1', 'false', '0'].includes(nested))
    throw new XapiFailure('INVALID_VALUE', 'platform:nested-virt', platform['nested-virt'] ?? '');
  if (['true', '1'].includes(nested) && !isPinned(db, vm))
    throw new XapiFailure('MEMORY_CONSTRAINT_VIOLATION_MAXPIN', 'nested virt');
  const isUefi = db.map('VM', vm, 'HVM_boot_params').firmware === 'uefi';
  if (platform['device-model'] === 'qemu-upstream-uefi' && !isUefi)
    throw new XapiFailure('INVALID_VALUE', 'platform:device-model', ONLY_UEFI);
  const cores = platform['cores-per-socket'];
  if (cores === undefined || db.text('VM', vm, 'domain_type') === 'pv') return;
  if (!/^-?\d+$/.test(cores)) throw new XapiFailure('INVALID_VALUE', 'platform:cores-per-socket', cores);
  const vcpus = db.text('VM', vm, 'VCPUs_max');
  if (Number(cores) < 1 || Number(vcpus) % Number(cores) !== 0)
    throw new XapiFailure('VCPU_MAX_NOT_CORES_PER_SOCKET_MULTIPLE', vcpus, cores);
}

const ONLY_UEFI = 'BIOS boot is not supported with qemu-upstream-uefi';

function isPinned(db: Database, vm: string): boolean {
  const most = db.text('VM', vm, 'memory_static_max');
  return ['memory_dynamic_min', 'memory_dynamic_max'].every((field) => db.text('VM', vm, field) === most);
}
