import type { NewImage } from '../glance/image.ts';
import { shorten } from '../glance/shorten.ts';
import type { VmRecord } from '../xapi/types.ts';
import { XensnapError } from './errors.ts';
import { glanceText, MOST_CHARACTERS, refuseUnfit } from './glance-text.ts';
import type { SnapshotJob } from './job.ts';

/**
 * Properties that a caller's metadata may not set: those of Glance and of ours themselves, those on which a service
 * acts with our rights, and those that would make the image tell something else of itself than is so. How the caller's
 * image is to be run (`hw_disk_bus`, `os_type`, `trait:…`, `cinder_img_volume_type`) is the caller's to say: that acts
 * for whoever boots it and with that caller's rights.
 */
const RESERVED: ReadonlySet<string> = new Set([
  // Glance's own fields (glance/api/v2/images.py: _base_, _readonly_, _reserved_ and _disallowed_properties).
  'checksum',
  'container_format',
  'created_at',
  'deleted',
  'deleted_at',
  'direct_url',
  'disk_format',
  'file',
  'id',
  'location',
  'locations',
  'min_disk',
  'min_ram',
  'name',
  'os_hash_algo',
  'os_hash_value',
  'os_hidden',
  'owner',
  'protected',
  'schema',
  'self',
  'size',
  'status',
  'stores',
  'tags',
  'updated_at',
  'virtual_size',
  'visibility',
  // When the image is deleted, Glance deletes this key of Barbican's with the token of whoever deletes: ours
  // (_delete_encryption_key in glance/api/v2/images.py). Cinder makes of it the key of a volume.
  'cinder_encryption_key_id',
  'cinder_encryption_key_deletion_policy',
  // What Nova's snapshots say of themselves and of their server (nova/compute/api.py, compute/utils.py, xenapi).
  'auto_disk_config',
  'hw_auto_disk_config',
  'backup_type',
  'base_image_ref',
  'boot_roles',
  'image_location',
  'image_state',
  'image_type',
  'instance_id',
  'instance_owner',
  'instance_ref',
  'instance_uuid',
  'owner_project_name',
  'owner_user_name',
  // Whose an image is and who may see it, for Nova (_is_image_available in nova/image/glance.py; of two names, the
  // newer is in nova/objects/image_meta.py).
  'img_owner_id',
  'owner_id',
  'project_id',
  'user_id',
  // Nova and Cinder would boot other disks, volumes or a kernel in the place of the image's data
  // (nova/compute/api.py, nova/block_device.py, cinder/api/v3/volumes.py).
  'bdm_v2',
  'img_bdm_v2',
  'block_device_mapping',
  'img_block_device_mapping',
  'img_mappings',
  'kernel_id',
  'mappings',
  'ramdisk_id',
  'root_device_name',
  'img_root_device_name',
  // How the VM is booted, which we say ourselves.
  'hw_firmware_type',
  'hw_vm_mode',
  'vm_mode',
  // Set by Cinder once it has verified the signature (cinder/image/image_utils.py).
  'signature_verified',
  // DynamoDB's client refuses an object with a field of that name (convertToAttr in @aws-sdk/util-dynamodb).
  'constructor',
]);

const RESERVED_PREFIXES: readonly string[] = [
  // Ours: rotation deletes by them.
  'xensnap_',
  // Glance refuses it (GLANCE_RESERVED_NS in glance/api/common.py).
  'os_glance',
  // Glance checks our upload by it (glance/location.py), Nova and Cinder the image.
  'img_signature',
  // The digests by which OpenStack's SDK takes an image for the one that it would upload.
  'owner_specified.',
];

/** Throws MetadataReserved, or BadRequest for a key or value that Glance would refuse. */
export function refuseReservedMetadata(metadata: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(metadata)) {
    const canonical = key.toLowerCase().replaceAll('-', '_');
    if (RESERVED.has(canonical) || RESERVED_PREFIXES.some((prefix) => canonical.startsWith(prefix)))
      throw new XensnapError(
        'MetadataReserved',
        `metadata.${shorten(key, 40).toWellFormed()}: this name is reserved; use another.`,
      );
    if (key === '' || [key, value].some((text) => [...text].length > MOST_CHARACTERS))
      throw new XensnapError(
        'BadRequest',
        `metadata.${shorten(key, 40).toWellFormed()}: key and value have 1 to ${MOST_CHARACTERS} characters.`,
      );
    refuseUnfit(`metadata.${shorten(key, 40).toWellFormed()}`, key);
  }
}

/**
 * The format of a job's image in Glance's words: Nova's importer knows a bundle of VHDs as vhd in ovf, a raw disk goes
 * as it is to whatever boots it. Either needs as much room as the disk has, in whole GiB.
 */
export function imageFormat({
  request,
  virtualBytes = 0,
}: SnapshotJob): Pick<NewImage, 'diskFormat' | 'containerFormat' | 'minDisk'> {
  const minDisk = Math.ceil(virtualBytes / 2 ** 30);
  return request.format === 'raw'
    ? { diskFormat: 'raw', containerFormat: 'bare', minDisk }
    : { diskFormat: 'vhd', containerFormat: 'ovf', minDisk };
}

/** What an image says of itself until it is verified. */
export const UNVERIFIED = { xensnap_verified: 'false' } as const;

/** The properties of a job's image, as Nova's clients and importers read them, and as Glance takes them. */
export function imageProperties(
  job: SnapshotJob,
  vm: VmRecord,
  installation: string,
): Record<string, string> {
  const properties: Record<string, string> = {
    ...job.request.metadata,
    ...kindOf(job),
    ...(!job.request.detached && { instance_uuid: job.vmUuid }),
    // How Nova boots it: without this it guesses by os_type (nova-xenapi).
    vm_mode: isHvm(vm) ? 'hvm' : 'xen',
    ...(isHvm(vm) && { hw_firmware_type: firmwareOf(vm) }),
    xensnap_installation: installation,
    xensnap_job: job.id,
    xensnap_pool: job.pool,
    ...(job.project !== undefined && { xensnap_project: job.project }),
    xensnap_vm: job.vmUuid,
    xensnap_vm_name: job.vmName,
    ...UNVERIFIED,
  };
  return Object.fromEntries(Object.entries(properties).map(([key, value]) => [key, glanceText(value)]));
}

function isHvm({ HVM_boot_policy }: VmRecord): boolean {
  return HVM_boot_policy !== '';
}

/** xapi starts no VM with another word, and takes none for BIOS (firmware_of_vm in xapi_xenops.ml). */
function firmwareOf({ HVM_boot_params }: VmRecord): 'bios' | 'uefi' {
  return HVM_boot_params.firmware === 'uefi' ? 'uefi' : 'bios';
}

/** The property as Nova writes it, so that its clients tell backups from snapshots. */
function kindOf({ request: { backup }, run }: SnapshotJob): Record<string, string> {
  if (!backup) return { image_type: 'snapshot' };
  return {
    image_type: 'backup',
    backup_type: backup.type,
    ...(run && { xensnap_schedule: run.scheduleId, xensnap_nominal_time: run.nominal }),
  };
}
