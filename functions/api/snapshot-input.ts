import { z } from '@hono/zod-openapi';
import { DEFAULT_FORMAT, DEFAULT_QUIESCE, IMAGE_FORMATS, JOB_STATUSES, QUIESCE } from '../words.ts';
import { DeviceInput, keyed, line, pageFields, strict } from './validation.ts';

/** Glance takes 128 properties of an image; Nova's and our own need room beside the caller's. */
const MOST_METADATA = 100;

/** Makes the image a backup, as Nova's createBackup does. */
export const BackupInput = strict({
  type: line(255).openapi({ description: 'Each type rotates by itself.', example: 'daily' }),
  keep: z.int().min(0).max(10_000).openapi({
    description:
      'Verified backups of the type that stay, this one included; 0 leaves none, not even this one.',
  }),
});

/** The body of POST /snapshots. */
export const NewSnapshot = strict({
  vm: line(255).openapi({ description: "The VM's UUID, or its name where only one has it." }),
  pool: line(60).optional().openapi({ description: 'Where several pools have such a VM.' }),
  name: line(255).optional().openapi({ description: "The image's; the VM's name and the time if absent." }),
  quiesce: z.enum(QUIESCE).optional().openapi({
    description: 'Whether the guest flushes its file systems first (VSS).',
    default: DEFAULT_QUIESCE,
  }),
  metadata: keyed(line(255), line(255, 0), MOST_METADATA)
    .optional()
    .openapi({ description: 'Custom properties of the image.' }),
  device: DeviceInput.optional().openapi({
    description: 'Position of the disk to be imaged; the one that the VM boots from if absent.',
  }),
  maxSizeGib: z
    .number()
    .positive()
    .optional()
    .openapi({ description: 'Refuses a disk whose virtual size is larger.' }),
  detached: z
    .boolean()
    .optional()
    .openapi({ description: 'The image is not tied to the VM: no instance_uuid.', default: false }),
  force: z
    .boolean()
    .optional()
    .openapi({ description: 'Does not wait until the disk is coalesced.', default: false }),
  format: z.enum(IMAGE_FORMATS).optional().openapi({
    description:
      'A tar.gz of VHDs, as Nova takes it; or the bare disk, zeros and all, which boots on any hypervisor.',
    default: DEFAULT_FORMAT,
  }),
  flatten: z.boolean().optional().openapi({
    description: 'One VHD that xapi flattens, also where there is a chain to bundle; only with `vhd`.',
    default: false,
  }),
  backup: BackupInput.optional().openapi({
    description: 'Makes it a backup: once it is verified, older ones of its type go.',
  }),
}).openapi('NewSnapshot', { example: { vm: 'web-1', quiesce: 'prefer', metadata: { ticket: '4711' } } });

/** The query of GET /snapshots. */
export const SnapshotQuery = strict({
  vm: line(255).optional().openapi({ description: "The VM's UUID, or its name when the job began." }),
  pool: line(60).optional(),
  status: z.enum(JOB_STATUSES).optional(),
  ...pageFields,
});
