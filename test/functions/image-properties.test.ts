import { expect, it } from 'vitest';
import { imageFormat, imageProperties, refuseReservedMetadata } from '../../functions/image-properties.ts';
import type { VmRecord } from '../../xapi/types.ts';
import { aJob } from './api/a-job.ts';

/** Names to which Nova, Glance or xensnap give a meaning (reference/glance-and-clients.md, nova-snapshots.md). */
const reserved = [
  ...['image_type', 'instance_uuid', 'backup_type', 'base_image_ref', 'image_location', 'image_state'],
  'constructor',
  ...[
    'user_id',
    'owner_id',
    'instance_owner',
    'auto_disk_config',
    'vm_mode',
    'hw_vm_mode',
    'hw_firmware_type',
  ],
  ...['id', 'name', 'status', 'visibility', 'protected', 'owner', 'size', 'virtual_size', 'checksum'],
  ...['os_hash_algo', 'os_hash_value', 'os_hidden', 'min_disk', 'min_ram', 'tags', 'file', 'self', 'schema'],
  ...['created_at', 'updated_at', 'disk_format', 'container_format', 'locations', 'direct_url', 'stores'],
  ...['deleted', 'deleted_at', 'location', 'os_glance', 'os_glance.x', 'signature_verified', 'project_id'],
  ...['cinder_encryption_key_id', 'cinder_encryption_key_deletion_policy'],
  ...['block_device_mapping', 'img_block_device_mapping', 'mappings', 'bdm_v2', 'root_device_name'],
  ...['kernel_id', 'ramdisk_id', 'boot_roles', 'owner_user_name', 'owner_project_name'],
  ...['img_signature', 'img_signature_hash_method', 'img_signature_certificate_uuid'],
  ...['owner_specified.openstack.sha256', 'owner_specified.openstack.object'],
  ...['xensnap_job', 'xensnap_verified', 'xensnap_anything', 'os_glance_importing_to_stores'],
];

it.each(reserved)('does not let a caller set %s, however it is spelled', (name) => {
  const spellings = [
    name,
    name.toUpperCase(),
    name.replaceAll('_', '-'),
    name.replace(/^\w/, (c) => c.toUpperCase()),
  ];
  for (const key of spellings) {
    const refuse = () => refuseReservedMetadata({ harmless: 'x', [key]: 'x' });
    expect(refuse, key).toThrow(expect.objectContaining({ name: 'MetadataReserved' }));
    expect(refuse).toThrow(`metadata.${key}: `);
  }
});

/** What says how the caller's own image is to be run is the caller's. */
it.each(['hw_disk_bus', 'cinder_img_volume_type', 'img_config_drive', 'trait:HW_CPU_X86_AVX2', 'os_distro'])(
  'lets a caller say how the image is to be run: %s',
  (key) => refuseReservedMetadata({ [key]: 'x' }),
);

it.each(['os_type', 'image_types', 'instance', 'backup', 'department', 'xensnap', 'x'.repeat(255)])(
  'lets a caller set %s',
  (key) => refuseReservedMetadata({ [key]: '🚀'.repeat(255) }),
);

it.each([
  ['an empty key', { '': 'x' }],
  ['a key that is too long', { ['k'.repeat(256)]: 'x' }],
  ['a value that is too long', { key: 'x'.repeat(256) }],
  ['a key with a character beyond U+FFFF', { 'team 🚀': 'x' }],
])('refuses %s, as Glance would', (_what, metadata) => {
  expect(() => refuseReservedMetadata(metadata)).toThrow(expect.objectContaining({ name: 'BadRequest' }));
});

const hvm = { HVM_boot_policy: 'BIOS order', HVM_boot_params: {} } as unknown as VmRecord;

it('tells Nova what the image is, which VM it is of and how that boots', () => {
  const job = aJob({ request: { ...aJob().request, metadata: { department: 'x' } } });
  expect(imageProperties(job, hvm, 'prod')).toEqual({
    department: 'x',
    hw_firmware_type: 'bios',
    image_type: 'snapshot',
    instance_uuid: job.vmUuid,
    vm_mode: 'hvm',
    xensnap_installation: 'prod',
    xensnap_job: job.id,
    xensnap_pool: 'demo',
    xensnap_vm: job.vmUuid,
    xensnap_vm_name: 'web-1',
    xensnap_verified: 'false',
  });
});

it.each<[string, object, object]>([
  [
    'BIOS',
    { HVM_boot_policy: 'BIOS order', HVM_boot_params: { firmware: 'bios' } },
    { hw_firmware_type: 'bios' },
  ],
  [
    'UEFI',
    { HVM_boot_policy: 'BIOS order', HVM_boot_params: { firmware: 'uefi' } },
    { hw_firmware_type: 'uefi' },
  ],
  ['neither', { HVM_boot_policy: '', HVM_boot_params: { firmware: 'uefi' } }, { vm_mode: 'xen' }],
])('tells Nova of a VM with %s', (_, vm, expected) => {
  const { vm_mode, hw_firmware_type } = imageProperties(aJob(), vm as VmRecord, 'prod');
  expect({ vm_mode, hw_firmware_type }).toEqual({ vm_mode: 'hvm', ...expected });
});

it('does not tie a detached image to its VM', () => {
  const job = aJob({ request: { ...aJob().request, detached: true } });
  expect(imageProperties(job, hvm, 'prod')).not.toHaveProperty('instance_uuid');
});

it("never lets metadata win over what the image is, even where it got past the request's check", () => {
  const metadata = { image_type: 'x', instance_uuid: 'x', vm_mode: 'x', xensnap_job: 'x' };
  const job = aJob({ request: { ...aJob().request, metadata } });
  expect(Object.values(imageProperties(job, hvm, 'prod'))).not.toContain('x');
});

it.each([
  ['n'.repeat(300), 'n'.repeat(255)],
  ['🚀 db', '\ufffd db'],
  [`${'n'.repeat(254)}🚀`, `${'n'.repeat(254)}\ufffd`],
])('gives of a VM named %j what Glance takes', (vmName, expected) => {
  expect(imageProperties(aJob({ vmName }), hvm, 'prod').xensnap_vm_name).toBe(expected);
});

it.each([
  ['vhd', undefined, { diskFormat: 'vhd', containerFormat: 'ovf', minDisk: 3 }],
  ['raw', 'raw' as const, { diskFormat: 'raw', containerFormat: 'bare', minDisk: 3 }],
])('calls a %s image by Glance’s names, and says how much room it needs', (_, format, fields) => {
  const request = { ...aJob().request, ...(format && { format }) };
  expect(imageFormat(aJob({ request, virtualBytes: 2 * 2 ** 30 + 512 }))).toEqual(fields);
});
