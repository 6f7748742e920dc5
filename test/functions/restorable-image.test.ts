import { expect, it } from 'vitest';
import { type Config, parseConfig } from '../../functions/config.ts';
import { restorableImage } from '../../functions/restorable-image.ts';
import type { Image } from '../../glance/image.ts';

const CONFIG = parseConfig(
  JSON.stringify({
    installation: 'here',
    pools: [{ name: 'demo', addresses: ['https://xen1'] }],
    glance: { url: 'https://glance' },
    projects: { blue: { restore: { srs: [] } }, ops: { admin: true } },
  }),
);

const VM = {
  version: 1,
  name: 'web-1',
  vcpus: { max: 2, atStartup: 2 },
  memory: { staticMin: 0, dynamicMin: 2 ** 30, dynamicMax: 2 ** 30, staticMax: 2 ** 30 },
  domainType: 'hvm',
  boot: { policy: 'BIOS order', firmware: 'bios', order: 'cd' },
  platform: {},
  vtpm: false,
  tools: true,
  hardwarePlatformVersion: 0,
  hasVendorDevice: false,
  nics: [],
  disk: { device: '0', virtualBytes: 4 * 2 ** 30, bootable: true },
};

const anImage = (fields: Partial<Image> = {}): Image => ({
  id: 'i',
  name: 'friday',
  status: 'active',
  sizeBytes: 1000,
  checksum: null,
  osHashAlgo: 'sha512',
  osHashValue: 'abc',
  diskFormat: 'vhd',
  containerFormat: 'ovf',
  visibility: 'private',
  owner: 'blue',
  protected: false,
  createdAt: '2026-01-01T00:00:00Z',
  updatedAt: '2026-01-01T00:00:00Z',
  properties: { xensnap_verified: 'true', xensnap_vm_config: JSON.stringify(VM) },
  ...fields,
});
const read = (fields: Partial<Image> = {}, project?: string, config: Config = CONFIG) =>
  restorableImage('i', anImage(fields), project, config);

it('takes the disk’s size, the hash and the VM from the image', () => {
  expect(read()).toEqual({
    ...{ id: 'i', name: 'friday', format: 'vhd', sizeBytes: 1000, sha512: 'abc', warnings: [] },
    ...{ virtualBytes: 4 * 2 ** 30, vmConfig: VM },
  });
});

it('takes the size of a raw disk from its data, and UEFI’s variables from beside its description', () => {
  const properties = { xensnap_vm_config: JSON.stringify(VM), xensnap_nvram: 'QUJD' };
  expect(read({ diskFormat: 'raw', containerFormat: 'bare', properties })).toMatchObject({
    ...{ format: 'raw', virtualBytes: 1000, vmConfig: { ...VM, nvram: 'QUJD' } },
    warnings: [expect.stringContaining('never verified')],
  });
});

it('believes nothing of a description that does not fit, and goes by what Glance says of the size', () => {
  for (const text of ['', '{', '[]', JSON.stringify({ ...VM, pvArgs: 'init=/bin/sh' }), '"x"'.repeat(9)])
    expect(read({ minDisk: 5, properties: { xensnap_vm_config: text } })).toMatchObject({
      virtualBytes: 5 * 2 ** 30,
      warnings: [expect.any(String)],
    });
  const nvram = { xensnap_vm_config: JSON.stringify(VM), xensnap_nvram: 'not base64!' };
  expect(read({ properties: nvram }).vmConfig).toEqual(VM);
});

it('takes a name that no pool can be sent without what stands in the way', () => {
  expect(read({ name: 'fri\0day\u001b[2J \ud83d\ude00\ud800' }).name).toBe(
    'fri\ufffdday\ufffd[2J \ud83d\ude00\ufffd',
  );
});

it.each<[string, Partial<Image>]>([
  ['it is queued', { status: 'queued' }],
  ['it is deactivated', { status: 'deactivated' }],
  ['it has no data', { sizeBytes: 0 }],
  ['it is qcow2 in bare', { diskFormat: 'qcow2', containerFormat: 'bare' }],
  ['how large its disk is', { properties: {} }],
  ['more than 2040 GiB', { minDisk: 2 ** 31 - 1, properties: {} }],
])('refuses one of which %s', (why, fields) => {
  expect(() => read(fields)).toThrow(
    expect.objectContaining({ name: 'ImageNotRestorable', message: expect.stringContaining(why) }),
  );
});

it('shows a project its own images and those for all, and says of others that there are none', () => {
  const notFound = expect.objectContaining({ name: 'ImageNotFound' });
  expect(read({ owner: 'blue' }, 'blue').id).toBe('i');
  expect(read({ owner: 'red', visibility: 'public' }, 'blue').id).toBe('i');
  expect(read({ owner: 'red' }, 'ops').id).toBe('i');
  expect(() => read({ owner: 'red' }, 'blue')).toThrow(notFound);
  expect(() => restorableImage('i', undefined, undefined, CONFIG)).toThrow(notFound);
  // Whoever owns an image can write its properties: only where the service owns all do they say whose it is.
  const properties = { ...anImage().properties, xensnap_project: 'blue', xensnap_installation: 'here' };
  expect(() => read({ owner: 'red', properties }, 'blue')).toThrow(notFound);
  const ofService = { ...CONFIG, imagesBelongTo: 'service' as const };
  expect(read({ owner: 'service', properties }, 'blue', ofService).id).toBe('i');
});
