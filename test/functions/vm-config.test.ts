import fc from 'fast-check';
import { expect, it } from 'vitest';
import { detachedVmConfig, MOST_PROPERTY_BYTES, shortVmConfig, VmConfig } from '../../functions/vm-config.ts';
import { sendable } from '../../xapi/sendable.ts';

const GIB = 2 ** 30;

const web: VmConfig = {
  version: 1,
  name: 'web-1',
  description: 'the shop',
  tags: ['prod'],
  vcpus: { max: 4, atStartup: 2 },
  memory: { staticMin: GIB, dynamicMin: 2 * GIB, dynamicMax: 4 * GIB, staticMax: 4 * GIB },
  domainType: 'hvm',
  boot: { policy: 'BIOS order', firmware: 'uefi', order: 'cdn' },
  platform: { 'device-model': 'qemu-upstream-uefi', secureboot: 'auto', 'cores-per-socket': '2' },
  biosStrings: { 'system-serial-number': 'A1' },
  nvram: 'AAAA',
  vtpm: false,
  tools: true,
  hardwarePlatformVersion: 2,
  hasVendorDevice: false,
  macSeed: '0b0a6c6e-7a0f-4a7e-8d2c-5d9f7a0b1c2d',
  nics: [
    {
      device: '0',
      mac: '0e:0e:10:be:97:5b',
      mtu: 1500,
      network: { uuid: '0792e197-5582-4708-8cf5-36bef24c51ad', name: 'shop', vlan: 12 },
    },
  ],
  disk: { device: '0', name: 'web-1 0', description: 'root', virtualBytes: 8 * GIB, bootable: true },
};

it('is the whole VM but its UEFI variables in the property, if there is room', () => {
  const { nvram: _, ...all } = web;
  expect(JSON.parse(shortVmConfig(web))).toEqual(all);
});

/** What a pool may have told. */
const textOf = (maxLength: number) => fc.string({ unit: 'binary', maxLength }).map(sendable);
const LONG = textOf(255);

it('fits the property whatever it says, and can be read again', () => {
  const config = fc.record({
    name: LONG,
    description: textOf(1024),
    tags: fc.array(textOf(200), { maxLength: 64 }),
    nics: fc.nat(16),
    nvram: fc.nat(20_000),
    diskTexts: fc.record({ name: LONG, description: LONG }),
    networkName: LONG,
  });
  fc.assert(
    fc.property(config, ({ nics, nvram, diskTexts, networkName, ...texts }) => {
      const many = Array.from({ length: nics }, (_, at) => ({
        ...{ device: String(at), mac: '0e:0e:10:be:97:5b', mtu: 1500 },
        network: { uuid: '0792e197-5582-4708-8cf5-36bef24c51ad', name: networkName, vlan: 12 },
      }));
      const disk = { ...web.disk, ...diskTexts };
      const whole = { ...web, ...texts, disk, nics: many, nvram: 'AAAA'.repeat(nvram) };
      const short = shortVmConfig(whole);
      expect(short.length).toBeLessThanOrEqual(MOST_PROPERTY_BYTES);
      expect(short).toMatch(/^[ -~]*$/);
      const read = VmConfig.parse(JSON.parse(short));
      expect(read.disk).toMatchObject({ device: '0', virtualBytes: web.disk.virtualBytes });
      expect(read.nics.map(({ mac }) => mac)).toEqual(many.map(({ mac }) => mac));
    }),
    { numRuns: 100 },
  );
});

it('loses what a restore needs least where there is no room for all', () => {
  const long = {
    ...web,
    description: 'd'.repeat(1024),
    tags: Array.from({ length: 64 }, () => 't'.repeat(60)),
  };
  const short = VmConfig.parse(JSON.parse(shortVmConfig(long)));
  expect(short).toMatchObject({ name: 'web-1', macSeed: web.macSeed, nics: web.nics, memory: web.memory });
  expect(short.tags).toBeUndefined();
  expect(short.biosStrings).toBeUndefined();
});

it('has no name, address, UUID or serial number where it was asked for detached', () => {
  const text = JSON.stringify(detachedVmConfig(web));
  for (const own of ['web-1', 'shop', 'root', 'prod', '0e:0e', '0792e197', '0b0a6c6e', 'A1'])
    expect(text).not.toContain(own);
  expect(VmConfig.parse(JSON.parse(text))).toMatchObject({ nics: [{ device: '0', network: { vlan: 12 } }] });
});

it.each([
  ['a kernel of its own', { kernel: '/boot/vmlinuz' }],
  ['a bootloader', { boot: { ...web.boot, bootloader: 'pygrub' } }],
  ['xenstore data', { xenstoreData: {} }],
  ['a key of platform that is not listed', { platform: { parallel: '/dev/parport0' } }],
  ['a path as a value of platform', { platform: { xenguest: '/opt/x' } }],
  ['more than a word as a value of platform', { platform: { 'device-model': 'qemu -x' } }],
  ['a BIOS string that xapi does not take', { biosStrings: { 'oem-1': 'x' } }],
  ['no memory', { memory: { ...web.memory, staticMax: 0 } }],
  ['a million CPUs', { vcpus: { max: 1e6, atStartup: 1 } }],
  ['half a CPU', { vcpus: { max: 1, atStartup: 0.5 } }],
  ['an address that is none', { nics: [{ ...web.nics[0], mac: 'x' }] }],
  ['a hundred interfaces', { nics: Array.from({ length: 100 }, () => web.nics[0]) }],
  ['variables that are no base64', { nvram: '<x>' }],
  ['a name of a megabyte', { name: 'x'.repeat(2 ** 20) }],
  ['another version', { version: 2 }],
  // XML carries none of these: the pool could not be told.
  ['a control character in a name', { name: 'a\u001b[2Jb' }],
  ['a NUL in a tag', { tags: ['a\0'] }],
  ['half a character in the name of the disk', { disk: { ...web.disk, name: 'a\ud800' } }],
  ['no character in a BIOS string', { biosStrings: { 'bios-vendor': '\uffff' } }],
])('is refused with %s', (_what, change) => {
  expect(VmConfig.safeParse({ ...web, ...change }).success).toBe(false);
});
