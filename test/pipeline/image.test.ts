import { join } from 'node:path';
import { expect, it } from 'vitest';
import { downloadBundle } from '../support/bundle.ts';
import { scenario } from '../support/scenario.ts';

it('is private, says of which VM it is, and has the size and hash that the job tells', async () => {
  const { pool, glance, folder, service, ask, request, job } = await scenario({
    pool: { vms: 1, diskMib: 2 },
  });
  const [vm] = pool.vms();
  const id = await request(vm?.uuid ?? '', { name: 'friday', metadata: { team: 'blue', empty: '' } });
  const done = await job(id);
  const [image] = glance.images();
  expect(image).toMatchObject({
    id,
    name: 'friday',
    status: 'active',
    visibility: 'private',
    disk_format: 'vhd',
    container_format: 'ovf',
    min_disk: 1,
    protected: false,
    size: done.imageBytes,
    os_hash_algo: 'sha512',
    os_hash_value: done.sha512,
  });
  expect(image?.properties).toEqual({
    team: 'blue',
    empty: '',
    hw_firmware_type: 'bios',
    image_type: 'snapshot',
    instance_uuid: vm?.uuid,
    vm_mode: 'hvm',
    xensnap_consistency: 'crash-consistent',
    xensnap_installation: service.runtime.config.installation,
    xensnap_job: id,
    xensnap_pool: 'demo',
    xensnap_verified: 'true',
    xensnap_verified_at: done.verifiedAt,
    xensnap_vm: vm?.uuid,
    xensnap_vm_config: expect.stringMatching(/^\{"version":1,/),
    xensnap_vm_name: vm?.name,
  });
  const { sizeBytes, sha512, vmConfig } = await downloadBundle(glance.url, id, join(folder, 'bundle'));
  expect(vmConfig).toEqual(JSON.parse(image?.properties.xensnap_vm_config ?? ''));
  expect({ imageBytes: sizeBytes, sha512 }).toEqual({ imageBytes: done.imageBytes, sha512: done.sha512 });
  expect((await ask('GET', `/snapshots/${id}`)).body).toMatchObject({
    status: 'succeeded',
    progress: 100,
    imageId: id,
    imageName: 'friday',
    sizeBytes,
    sha512,
    owes: [],
  });
});

it('says of a VM with UEFI that it needs that', async () => {
  const { glance, request, job } = await scenario({
    pool: { vms: 0 },
    vms: [{ name: 'uefi', diskMib: 2, boot: { firmware: 'uefi' } }],
  });
  await job(await request('uefi'));
  expect(glance.images()).toMatchObject([
    { status: 'active', properties: { vm_mode: 'hvm', hw_firmware_type: 'uefi' } },
  ]);
});

it.each([
  ['🚀 db', /^\ufffd db-2\d{3}-\d\d-\d\dT\d\d:\d\dZ$/, '\ufffd db'],
  ['n'.repeat(249), /^n{237}-2\d{3}-\d\d-\d\dT\d\d:\d\dZ$/, 'n'.repeat(249)],
  [`${'n'.repeat(254)}🚀`, /^n{237}-2\d{3}-\d\d-\d\dT\d\d:\d\dZ$/, `${'n'.repeat(254)}\ufffd`],
])('is named so that Glance takes it after a VM named %s', async (vmName, name, property) => {
  const { pool, glance, request, job } = await scenario({
    pool: { vms: 0 },
    vms: [{ name: vmName, diskMib: 2 }],
  });
  const done = await job(await request(pool.vms()[0]?.uuid ?? ''));
  expect(done).toMatchObject({ status: 'succeeded', vmName });
  expect(done.warnings).toBeUndefined();
  expect(glance.images()).toMatchObject([
    { name: expect.stringMatching(name), status: 'active', properties: { xensnap_vm_name: property } },
  ]);
});

it('has what its caller gave it as far as Glance takes that, and the job warns of the rest', async () => {
  const { pool, glance, ask, request, job } = await scenario({ pool: { vms: 1, diskMib: 2 } });
  const vm = pool.vms()[0]?.uuid ?? '';
  const done = await job(await request(vm, { name: 'before 🚀', metadata: { team: 'blue 🐳', ok: '☃' } }));
  expect(glance.images()).toMatchObject([
    { name: 'before \ufffd', status: 'active', properties: { team: 'blue \ufffd', ok: '☃' } },
  ]);
  expect((await ask('GET', `/snapshots/${done.id}`)).body).toMatchObject({
    imageName: 'before \ufffd',
    warnings: [expect.stringMatching(/^name has/), expect.stringMatching(/^metadata\.team has/)],
  });
  for (const [field, more] of Object.entries({
    name: { name: 'x'.repeat(256) },
    'name: has more than 255 characters': { name: '🚀'.repeat(256) },
    'metadata.a 🐳: ': { metadata: { 'a 🐳': 'x' } },
    'backup.type': { backup: { type: 'daily 🐳', keep: 1 } },
  })) {
    const { status, body } = await ask('POST', '/snapshots', { vm, ...more });
    expect([status, body.error.name]).toEqual([400, 'BadRequest']);
    expect(body.error.message).toContain(field);
  }
});

it('is not tied to the VM when it is asked for detached', async () => {
  const { pool, glance, request, job } = await scenario({ pool: { vms: 1, diskMib: 2 } });
  const [vm] = pool.vms();
  await job(await request(vm?.uuid ?? '', { detached: true }));
  expect(glance.images()).toMatchObject([{ status: 'active', properties: { image_type: 'snapshot' } }]);
  const { xensnap_vm_config = '', ...properties } = glance.images()[0]?.properties ?? {};
  expect(properties).not.toHaveProperty('instance_uuid');
  expect(xensnap_vm_config).not.toMatch(/web-1|"mac|uuid/);
});

it('cannot be given a property that Nova, Glance or xensnap reserve', async () => {
  const { pool, glance, ask } = await scenario({ pool: { vms: 1, diskMib: 2 } });
  const vm = pool.vms()[0]?.uuid;
  const reserved = [
    'image_type',
    'Image_Type',
    'instance_uuid',
    'instance-uuid',
    'backup_type',
    'base_image_ref',
    'os_hash_value',
    'owner',
    'size',
    'xensnap_verified',
  ];
  for (const key of reserved) {
    const { status, body } = await ask('POST', '/snapshots', { vm, metadata: { ok: '1', [key]: 'x' } });
    expect({ key, status, name: body.error.name }).toEqual({ key, status: 400, name: 'MetadataReserved' });
    expect(body.error.message).toContain(key);
  }
  expect((await ask('GET', '/snapshots')).body.snapshots).toEqual([]);
  expect(glance.images()).toEqual([]);
  expect(pool.calls.map(({ method }) => method)).toEqual([]);
});
