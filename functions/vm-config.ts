import * as z from 'zod';
import { isSendable } from '../xapi/sendable.ts';

/**
 * What a restore needs to know of a VM, as an image carries it: whole as `vm.json`, the first entry of the bundle, and
 * in short as an image property. An image's owner can edit both, and a restore acts with an administrator's rights, so
 * this schema is also the reader: fixed fields, listed keys, bounded texts and numbers. It never has xenstore data, a
 * PV kernel, a bootloader or their arguments, nor any key of `other_config` but the seed of the MAC addresses.
 */

/** The image property that has it in short, as JSON. `xensnap_vm`, the nearer name, is the VM's UUID. */
export const VM_CONFIG_PROPERTY = 'xensnap_vm_config';
/** The image property with the UEFI variables of a raw image, which has no `vm.json`. */
export const NVRAM_PROPERTY = 'xensnap_nvram';

/** How long the property is at most, and the UEFI variables in base64: as a property, and in `vm.json`. */
export const MOST_PROPERTY_BYTES = 4096;
export const MOST_NVRAM_PROPERTY_BYTES = 32 * 1024;
/** varstored keeps 57,344 bytes of variables at most (varstored's mor.h, DATA_LIMIT), a third more in base64. */
export const MOST_NVRAM_BYTES = 80 * 1024;

const MIB = 2 ** 20;
const TIB = 2 ** 40;

/** What no pool could be sent would fail the restore once its disk is written, or leave it without an end. */
const text = (most: number) => z.string().max(most).refine(isSendable);
const bytes = z.int().min(0);
const uuid = z.uuid();
const position = z.string().regex(/^\d{1,3}$/);
const mac = z.string().regex(/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/);
const memory = z
  .int()
  .min(MIB)
  .max(64 * TIB);
const cpus = z.int().min(1).max(1024);
/** A value of `platform`: a word or a number, never a path or more than one argument. */
const word = z.string().regex(/^[\w.+-]{1,64}$/);

/**
 * Keys of `platform` that say how the guest sees its machine (vm_platform.ml in xapi). Not among them are those by which
 * a guest would get a device or a program of its host: `parallel`, `igd_passthrough`, `xenguest`, `featureset`, …
 */
const PLATFORM_KEYS = [
  'acpi',
  'acpi_s3',
  'acpi_s4',
  'apic',
  'cores-per-socket',
  'device-model',
  'device_id',
  'hpet',
  'mmio_size_mib',
  'nested-virt',
  'nx',
  'pae',
  'revision',
  'secureboot',
  'timeoffset',
  'tpm_version',
  'tsc_mode',
  'usb',
  'usb_tablet',
  'vga',
  'videoram',
  'viridian',
  'viridian_apic_assist',
  'viridian_crash_ctl',
  'viridian_reference_tsc',
  'viridian_stimer',
  'viridian_time_ref_count',
] as const;

/** What `VM.set_bios_strings` takes (constants.ml in xapi: settable_vm_bios_string_keys). */
const BIOS_KEYS = [
  'bios-vendor',
  'bios-version',
  'system-manufacturer',
  'system-product-name',
  'system-version',
  'system-serial-number',
  'baseboard-manufacturer',
  'baseboard-product-name',
  'baseboard-version',
  'baseboard-serial-number',
  'baseboard-asset-tag',
  'baseboard-location-in-chassis',
  'enclosure-asset-tag',
] as const;

/** A map in which no key needs to be there, and no other may. */
function someOf<const K extends string, V extends z.ZodType>(keys: readonly K[], value: V) {
  return z.partialRecord(z.enum(keys), value);
}

const Network = z.strictObject({
  uuid: uuid.optional(),
  name: text(255).optional(),
  /** Absent for one without a tag. */
  vlan: z.int().min(0).max(4095).optional(),
});

const Nic = z.strictObject({
  device: position,
  mac: mac.optional(),
  mtu: z.int().min(0).max(65_535),
  network: Network,
});

const ImagedDisk = z.strictObject({
  device: position,
  name: text(255).optional(),
  description: text(1024).optional(),
  virtualBytes: bytes.max(64 * TIB),
  bootable: z.boolean(),
});

/** The description of a VM; what is absent is not known or was left out. */
export const VmConfig = z.strictObject({
  version: z.literal(1),
  name: text(255).optional(),
  description: text(1024).optional(),
  tags: z.array(text(255)).max(64).optional(),
  vcpus: z.strictObject({ max: cpus, atStartup: cpus, weight: z.int().min(1).max(65_535).optional() }),
  /** Bytes. */
  memory: z.strictObject({ staticMin: bytes, dynamicMin: bytes, dynamicMax: memory, staticMax: memory }),
  domainType: z.enum(['hvm', 'pv', 'pv_in_pvh', 'pvh', 'unspecified']),
  boot: z.strictObject({
    policy: z.enum(['BIOS order', '']),
    firmware: z.enum(['bios', 'uefi']),
    /** Letters of kinds of devices. */
    order: z.string().regex(/^[a-z]{0,8}$/),
  }),
  platform: someOf(PLATFORM_KEYS, word),
  biosStrings: someOf(BIOS_KEYS, text(512)).optional(),
  /** `EFI-variables`, base64. */
  nvram: z.base64().max(MOST_NVRAM_BYTES).optional(),
  /** Whether it has a virtual TPM, whose contents cannot be read. */
  vtpm: z.boolean(),
  /** Whether the guest's tools had told of themselves. */
  tools: z.boolean(),
  shadowMultiplier: z.number().min(1).max(100).optional(),
  hardwarePlatformVersion: z.int().min(0).max(100),
  hasVendorDevice: z.boolean(),
  afterShutdown: z.enum(['destroy', 'restart']).optional(),
  afterReboot: z.enum(['destroy', 'restart']).optional(),
  afterCrash: z
    .enum([
      'destroy',
      'coredump_and_destroy',
      'restart',
      'coredump_and_restart',
      'preserve',
      'rename_restart',
    ])
    .optional(),
  /** What xapi derives MAC addresses from that nobody has set. */
  macSeed: text(64).optional(),
  nics: z.array(Nic).max(16),
  disk: ImagedDisk,
});

export type VmConfig = z.infer<typeof VmConfig>;

/** A description as an image carries it; undefined for a text that is none: nothing of it is believed then. */
export function readVmConfig(text: string): VmConfig | undefined {
  try {
    return VmConfig.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

type Shorter = (config: VmConfig) => VmConfig;

/** What is left out of the property where there is no room, the least needed first. */
const SHORTER: readonly Shorter[] = [
  ({ biosStrings: _, ...config }) => config,
  ({ description: _, ...config }) => config,
  ({ tags: _, ...config }) => config,
  ({ disk: { description: _, ...disk }, ...config }) => ({ ...config, disk }),
  ({ disk: { name: _, ...disk }, ...config }) => ({ ...config, disk }),
  ({ nics, ...config }) => ({ ...config, nics: nics.map(withoutNetworkName) }),
  ({ name: _, ...config }) => config,
];

function withoutNetworkName({ network: { name: _, ...network }, ...nic }: VmConfig['nics'][number]) {
  return { ...nic, network };
}

/**
 * The description in short: without the UEFI variables, and whole else if it fits the property, or without what a restore
 * needs least.
 */
export function shortVmConfig({ nvram: _, ...config }: VmConfig): string {
  let short: VmConfig = config;
  for (const shorter of SHORTER) {
    if (asciiJson(short).length <= MOST_PROPERTY_BYTES) break;
    short = shorter(short);
  }
  return asciiJson(short);
}

/** JSON in ASCII alone: MySQL refuses a property with four-byte characters where Glance's table has three-byte ones. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/**
 * The description without what tells one VM from another: names, addresses, UUIDs and serial numbers. For an image that
 * was asked for detached, from which many VMs may be made.
 */
export function detachedVmConfig({
  name: _name,
  description: _description,
  tags: _tags,
  macSeed: _seed,
  biosStrings: _bios,
  ...config
}: VmConfig): VmConfig {
  const { name: _disk, description: _diskText, ...disk } = config.disk;
  return {
    ...config,
    disk,
    nics: config.nics.map(({ device, mtu, network }) => ({
      device,
      mtu,
      network: network.vlan === undefined ? {} : { vlan: network.vlan },
    })),
  };
}
