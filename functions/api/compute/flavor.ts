import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { intOf } from '../../../xapi/types.ts';
import { Link, linksOf } from './links.ts';
import type { Server } from './servers.ts';

/** A size that VMs have. Pools know no flavors: each combination that some VM has is one. */
export interface Flavor {
  /** Says all that the flavor is, and is its name too. */
  readonly id: string;
  readonly vcpus: number;
  readonly ramMib: number;
  readonly diskGib: number;
}

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

export function flavorOf({ vm, rootDisk }: Server): Flavor {
  const vcpus = intOf(vm.VCPUs_max);
  const ramMib = Math.ceil(intOf(vm.memory_static_max) / MIB);
  const diskGib = Math.ceil((rootDisk?.virtualBytes ?? 0) / GIB);
  return { id: `${vcpus}vcpu-${ramMib}mib-${diskGib}gib`, vcpus, ramMib, diskGib };
}

export const FlavorEntry = z
  .object({ id: z.string(), name: z.string(), links: z.array(Link) })
  .openapi('ComputeFlavorEntry');

export const FlavorView = FlavorEntry.extend({
  ram: z.int().openapi({ description: 'MiB.' }),
  disk: z.int().openapi({ description: 'GiB of the root disk, rounded up; 0 where none is known.' }),
  vcpus: z.int(),
  swap: z.literal(''),
  rxtx_factor: z.number(),
  'OS-FLV-EXT-DATA:ephemeral': z.int(),
  'OS-FLV-DISABLED:disabled': z.boolean(),
  'os-flavor-access:is_public': z.boolean(),
}).openapi('ComputeFlavor');

export function flavorEntry(c: Context, { id }: Flavor): z.infer<typeof FlavorEntry> {
  return { id, name: id, links: linksOf(c, 'flavors', id) };
}

export function flavorView(c: Context, flavor: Flavor): z.infer<typeof FlavorView> {
  return {
    ...flavorEntry(c, flavor),
    ram: flavor.ramMib,
    disk: flavor.diskGib,
    vcpus: flavor.vcpus,
    swap: '',
    rxtx_factor: 1,
    'OS-FLV-EXT-DATA:ephemeral': 0,
    'OS-FLV-DISABLED:disabled': false,
    'os-flavor-access:is_public': true,
  };
}
