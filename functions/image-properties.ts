import type { NewImage } from '../glance/image.ts';
import { shorten } from '../glance/shorten.ts';
import type { VmRecord } from '../xapi/types.ts';
import { XensnapError } from './errors.ts';
import { glanceText, MOST_CHARACTERS, refuseUnfit } from './glance-text.ts';
import type { Job } from './job.ts';

/** Properties that Nova, Glance or xensnap give a meaning; a caller's metadata may not set them. */
const RESERVED: readonly string[] = [
  'auto_disk_config',
  'backup_type',
  'base_image_ref',
  'checksum',
  'container_format',
  'created_at',
  'direct_url',
  'disk_format',
  'file',
  'hw_firmware_type',
  'hw_vm_mode',
  'id',
  'image_location',
  'image_state',
  'image_type',
  'instance_id',
  'instance_owner',
  'instance_ref',
  'instance_uuid',
  'locations',
  'min_disk',
  'min_ram',
  'name',
  'os_hash_algo',
  'os_hash_value',
  'os_hidden',
  'owner',
  'owner_id',
  'protected',
  'schema',
  'self',
  'size',
  'status',
  'stores',
  'tags',
  'updated_at',
  'user_id',
  'virtual_size',
  'visibility',
  'vm_mode',
];

/** Throws MetadataReserved, or BadRequest for a key or value that Glance would refuse. */
export function refuseReservedMetadata(metadata: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(metadata)) {
    const canonical = key.toLowerCase().replaceAll('-', '_');
    if (
      RESERVED.includes(canonical) ||
      canonical.startsWith('xensnap_') ||
      canonical.startsWith('os_glance_')
    )
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
}: Job): Pick<NewImage, 'diskFormat' | 'containerFormat' | 'minDisk'> {
  const minDisk = Math.ceil(virtualBytes / 2 ** 30);
  return request.format === 'raw'
    ? { diskFormat: 'raw', containerFormat: 'bare', minDisk }
    : { diskFormat: 'vhd', containerFormat: 'ovf', minDisk };
}

/** The properties of a job's image, as Nova's clients and importers read them, and as Glance takes them. */
export function imageProperties(job: Job, vm: VmRecord, installation: string): Record<string, string> {
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

/** As Nova has it, so that its clients tell backups from snapshots. */
function kindOf({ request: { backup }, run }: Job): Record<string, string> {
  if (!backup) return { image_type: 'snapshot' };
  return {
    image_type: 'backup',
    backup_type: backup.type,
    ...(run && { xensnap_schedule: run.scheduleId, xensnap_nominal_time: run.nominal }),
  };
}
