import type { NewImage } from '../glance/image.ts';
import type { VmRecord } from '../xapi/types.ts';
import { XensnapError } from './errors.ts';
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
      throw new XensnapError('MetadataReserved', `metadata.${key}: this name is reserved; use another.`);
    if (key === '' || key.length > 255 || value.length > 255)
      throw new XensnapError(
        'BadRequest',
        `metadata.${key.slice(0, 40)}: key and value have 1 to 255 characters.`,
      );
  }
}

/**
 * The format of a job's image in Glance's words: Nova's importer knows a bundle of VHDs as vhd in ovf. A raw disk goes as
 * it is to whatever boots it, which needs as much room as it has.
 */
export function imageFormat({
  request,
  virtualBytes = 0,
}: Job): Pick<NewImage, 'diskFormat' | 'containerFormat' | 'minDisk'> {
  return request.format === 'raw'
    ? { diskFormat: 'raw', containerFormat: 'bare', minDisk: Math.ceil(virtualBytes / 2 ** 30) }
    : { diskFormat: 'vhd', containerFormat: 'ovf' };
}

/** The properties of a job's image, as Nova's clients and importers read them. */
export function imageProperties(job: Job, vm: VmRecord, installation: string): Record<string, string> {
  return {
    ...job.request.metadata,
    ...kindOf(job),
    ...(!job.request.detached && { instance_uuid: job.vmUuid }),
    // How Nova boots it: without this it guesses by os_type (nova-xenapi).
    vm_mode: vm.HVM_boot_policy === '' ? 'xen' : 'hvm',
    xensnap_installation: installation,
    xensnap_job: job.id,
    xensnap_pool: job.pool,
    ...(job.project !== undefined && { xensnap_project: job.project }),
    xensnap_vm: job.vmUuid,
    xensnap_vm_name: job.vmName.slice(0, 255),
  };
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
