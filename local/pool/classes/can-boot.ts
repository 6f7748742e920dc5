import { XapiFailure } from '../failure.ts';
import type { PoolState } from '../state.ts';

const MOST_VCPUS = 'vcpu-unrestricted';
const CRASH_FIELD = 'VM.actions_after_crash';
/** What a crashed domain cannot do, with xapi's words for it. */
const NOT_AFTER_CRASH: Readonly<Record<string, string>> = {
  rename_restart: 'option would leak a domain; VMs and not domains are managed by this API',
  coredump_and_destroy: 'cannot invoke a coredump of an HVM, PVH or PV-in-PVH domain',
  coredump_and_restart: 'cannot invoke a coredump of an HVM, PVH or PV-in-PVH domain',
};

/**
 * Whether the VM could start on the host, in xapi's order of reasons (xapi_vm_helpers.ml, assert_can_boot_here): only now
 * anybody looks at what VM.create was given.
 * @throws XapiFailure why it could not
 */
export function assertCanBootHere(
  pool: PoolState,
  vm: string,
  host: string,
  look: { memory: boolean },
): void {
  assertSensible(pool, vm);
  const { db } = pool;
  if (!db.flag('host_metrics', db.text('host', host, 'metrics'), 'live'))
    throw new XapiFailure('HOST_NOT_LIVE');
  if (!db.flag('host', host, 'enabled')) throw new XapiFailure('HOST_DISABLED', host);
  const sr = srsOf(pool, vm).find((each) => !isAttached(pool, each, host));
  if (sr !== undefined) throw new XapiFailure('VM_REQUIRES_SR', vm, sr);
  const network = networksOf(pool, vm).find((each) => !isSeen(pool, each, host));
  if (network !== undefined) throw new XapiFailure('VM_REQUIRES_NETWORK', vm, network);
  if (look.memory) assertMemory(pool, vm, host);
  const [vcpus, pcpus] = [
    Number(db.text('VM', vm, 'VCPUs_max')),
    Number(db.map('host', host, 'cpu_info').cpu_count),
  ];
  if (vcpus > pcpus && !/^(true|1)$/i.test(db.map('VM', vm, 'platform')[MOST_VCPUS] ?? ''))
    throw new XapiFailure('HOST_NOT_ENOUGH_PCPUS', String(vcpus), String(pcpus));
}

function assertSensible({ db }: PoolState, vm: string): void {
  const number = (field: string): number => Number(db.text('VM', vm, field));
  const [most, first] = [number('VCPUs_max'), number('VCPUs_at_startup')];
  if (most < 1) throw new XapiFailure('INVALID_VALUE', 'VCPUs_max', String(most));
  if (first < 1) throw new XapiFailure('INVALID_VALUE', 'VCPUs-at-startup', String(first));
  if (first > most)
    throw new XapiFailure(
      ...(['VALUE_NOT_SUPPORTED', 'VCPUs-at-startup', String(first)] as const),
      'value greater than VCPUs-max',
    );
  const [staticMax, dynamicMax] = [number('memory_static_max'), number('memory_dynamic_max')];
  if (staticMax < number('memory_static_min') || dynamicMax < number('memory_dynamic_min'))
    throw new XapiFailure('MEMORY_CONSTRAINT_VIOLATION');
  const shadow = number('HVM_shadow_multiplier');
  if (shadow < 1) throw new XapiFailure('INVALID_VALUE', 'HVM_shadow_multiplier', String(shadow));
  const crash = db.text('VM', vm, 'actions_after_crash');
  const reason = NOT_AFTER_CRASH[crash];
  if (reason !== undefined) throw new XapiFailure('VALUE_NOT_SUPPORTED', CRASH_FIELD, crash, reason);
}

function srsOf({ db }: PoolState, vm: string): string[] {
  const vbds = db.referrers('VBD', 'VM', vm).filter((vbd) => !db.flag('VBD', vbd, 'empty'));
  return vbds.map((vbd) => db.text('VDI', db.text('VBD', vbd, 'VDI'), 'SR'));
}

/** Whether the host has the SR attached. */
export function isAttached({ db }: PoolState, sr: string, host: string): boolean {
  const pbds = db.referrers('PBD', 'SR', sr);
  return pbds.some(
    (pbd) => db.text('PBD', pbd, 'host') === host && db.flag('PBD', pbd, 'currently_attached'),
  );
}

function networksOf({ db }: PoolState, vm: string): string[] {
  return db.referrers('VIF', 'VM', vm).map((vif) => db.text('VIF', vif, 'network'));
}

/**
 * A network is where it has a PIF; without any it is on each host until a VM runs on it, and then on that VM's
 * (xapi_network_attach_helpers.ml, assert_can_see_named_networks).
 */
function isSeen({ db }: PoolState, network: string, host: string): boolean {
  db.row('network', network);
  const pifs = db.referrers('PIF', 'network', network);
  if (pifs.length > 0) return pifs.some((pif) => db.text('PIF', pif, 'host') === host);
  if (db.map('network', network, 'other_config').assume_network_is_shared === 'true') return true;
  if (!db.flag('network', network, 'managed')) return true;
  const vms = db.referrers('VIF', 'network', network).map((vif) => db.text('VIF', vif, 'VM'));
  const hosts = vms
    .filter((vm) => db.text('VM', vm, 'power_state') === 'Running')
    .map((vm) => db.text('VM', vm, 'resident_on'));
  return hosts.length === 0 || hosts.includes(host);
}

/** @throws XapiFailure HOST_NOT_ENOUGH_FREE_MEMORY with what is needed and what there is, in bytes */
export function assertMemory(pool: PoolState, vm: string, host: string): void {
  const [needed, free] = [memoryOf(pool, vm), freeMemory(pool, host)];
  if (needed > free) throw new XapiFailure('HOST_NOT_ENOUGH_FREE_MEMORY', String(needed), String(free));
}

/** What the host's VMs, those that start there included, would leave if all gave away what they can. */
export function freeMemory(pool: PoolState, host: string): number {
  const { db } = pool;
  const total = Number(db.text('host_metrics', db.text('host', host, 'metrics'), 'memory_total'));
  const coming = db.refs('VM').filter((vm) => db.text('VM', vm, 'scheduled_to_be_resident_on') === host);
  const there = new Set([...db.referrers('VM', 'resident_on', host), ...coming]);
  return [...there].reduce((free, vm) => free - memoryOf(pool, vm), total);
}

function memoryOf({ db }: PoolState, vm: string): number {
  return Number(db.text('VM', vm, 'memory_dynamic_min')) + Number(db.text('VM', vm, 'memory_overhead'));
}
