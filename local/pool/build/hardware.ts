import { randomBytes } from 'node:crypto';
import { newVtpm } from '../classes/vtpm.ts';
import type { Row } from '../database/value.ts';
import type { PoolState } from '../state.ts';
import { newVif } from './vm.ts';

/** One network interface of a new VM. */
export interface NicSpec {
  /** A network's name or UUID; the management's if left out. */
  readonly network?: string;
  /** What the VM's seed makes, if left out. */
  readonly mac?: string;
  readonly mtu?: number;
}

/** What a new VM consists of beside its disks. */
export interface HardwareSpec {
  readonly description?: string;
  /** Its interfaces from device 0 on; one on the management network if left out. */
  readonly nics?: readonly NicSpec[];
  readonly memoryMib?: number;
  readonly vcpus?: number;
  /** Keys beside those that every VM has; an empty text takes one of these away. */
  readonly platform?: Record<string, string>;
  /** UEFI's variables, under the key `EFI-variables`. */
  readonly nvram?: Record<string, string>;
  readonly biosStrings?: Record<string, string>;
  readonly vtpm?: boolean;
}

/** The fields of the VM's record that it is about. */
export function hardwareOf({ description, memoryMib, vcpus, nvram, biosStrings }: HardwareSpec): Row {
  const memory = String((memoryMib ?? 0) * 1024 ** 2);
  return {
    ...(description !== undefined && { name_description: description }),
    ...(memoryMib !== undefined && {
      memory_target: memory,
      memory_static_max: memory,
      memory_dynamic_max: memory,
      memory_dynamic_min: memory,
    }),
    ...(memoryMib !== undefined && memoryMib < 1024 && { memory_static_min: memory }),
    ...(vcpus !== undefined && { VCPUs_max: String(vcpus), VCPUs_at_startup: String(vcpus) }),
    ...(nvram && { NVRAM: nvram }),
    ...(biosStrings && { bios_strings: biosStrings }),
  };
}

function withKeys(usual: Record<string, string>, more: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries({ ...usual, ...more }).filter(([, value]) => value !== ''));
}

/** Adds what has records of its own, and the platform's keys. */
export function addHardware(pool: PoolState, vm: string, spec: HardwareSpec): void {
  const { db } = pool;
  if (spec.platform) db.set('VM', vm, 'platform', withKeys(db.map('VM', vm, 'platform'), spec.platform));
  for (const [device, nic] of (spec.nics ?? [{}]).entries())
    newVif(pool, vm, { device, ...nic, network: findNetwork(pool, nic.network) });
  if (spec.vtpm) newVtpm(pool, vm, { isUnique: false, contents: randomBytes(64).toString('base64') });
}

function findNetwork({ db }: PoolState, wanted: string | undefined): string {
  const networks = db.refs('network');
  const isWanted = (ref: string): boolean =>
    [db.text('network', ref, 'uuid'), db.text('network', ref, 'name_label')].includes(wanted ?? '');
  const network = wanted === undefined ? networks[0] : networks.find(isWanted);
  if (network === undefined) throw new Error(`The pool has no network ${wanted}`);
  return network;
}
