import { z } from '@hono/zod-openapi';
import { isFinished, type SnapshotJob } from '../job.ts';
import { CONSISTENCIES, DEFAULT_FORMAT, IMAGE_FORMATS } from '../words.ts';
import { bytes, commonFields, commonView, time } from './common-view.ts';
import type { ViewDeps } from './job-waits.ts';
import type { Listener } from './told-to.ts';

/** A snapshot's job as callers see it. */
export const JobView = z
  .object({
    ...commonFields,
    id: commonFields.id.openapi({ description: 'Of the job, of its image and of its execution.' }),
    phase: commonFields.phase.openapi({ example: 'PollUpload' }),
    bytesRead: bytes.nullable().openapi({ description: 'Read of the disk, uncompressed; of bytesTotal.' }),
    bytesSent: bytes.nullable().openapi({ description: 'Sent to Glance; VHDs are compressed.' }),
    bytesTotal: bytes
      .nullable()
      .openapi({ description: 'To be read: all VHDs, or the whole of a raw disk.' }),
    vm: z.object({ uuid: z.string(), name: z.string() }),
    imageId: z.uuid().nullable().openapi({
      description:
        'Null once the image is known to be gone. Whether it is there is looked for when one job is asked for; of backups also by the janitor.',
    }),
    imageName: z.string(),
    format: z.enum(IMAGE_FORMATS).openapi({ description: 'A bundle of VHDs, or the bare disk.' }),
    device: z
      .string()
      .nullable()
      .openapi({ description: 'Position of the disk that is imaged, as xapi has it.', example: '0' }),
    flatten: z.boolean().openapi({ description: 'One VHD was asked for, flattened by xapi.' }),
    backup: z
      .object({ type: z.string(), keep: z.int().min(0) })
      .nullable()
      .openapi({ description: 'The type, of which so many verified ones stay; null for a snapshot.' }),
    run: z
      .object({ scheduleId: z.string(), nominal: time })
      .nullable()
      .openapi({ description: 'Of the schedule that asked for it, with its nominal time.' }),
    consistency: z.enum(CONSISTENCIES).nullable(),
    sha512: z.string().nullable(),
    vhds: z
      .array(z.object({ name: z.string(), uuid: z.string(), bytes }))
      .openapi({ description: 'Of the bundle, the newest layer first; none for a raw image.' }),
    owes: commonFields.owes.openapi({
      description: 'What is still to be undone; the VM is free once this is empty.',
    }),
  })
  .openapi('Job');

export type JobView = z.infer<typeof JobView>;

/** A page of the list of snapshots' jobs. */
export const JobPage = z
  .object({ snapshots: z.array(JobView), next: z.string().nullable() })
  .openapi('JobPage');

export type JobPage = z.infer<typeof JobPage>;

export function jobView(job: SnapshotJob, listener: Listener, deps: ViewDeps): JobView {
  return {
    ...commonView(job, listener, deps),
    bytesSent: job.bytesSent ?? null,
    vm: { uuid: job.vmUuid, name: job.vmName },
    imageId: isImageGone(job) ? null : job.id,
    imageName: job.request.name,
    format: job.request.format ?? DEFAULT_FORMAT,
    device: job.device ?? null,
    flatten: job.request.flatten ?? false,
    backup: job.request.backup ?? null,
    run: job.run ?? null,
    consistency: job.consistency ?? null,
    sha512: job.sha512 ?? null,
    vhds: (job.vhds ?? []).map(({ name, uuid, bytes }) => ({ name, uuid, bytes })),
  };
}

/** Whether this job, a rotation or somebody else has deleted it, the last as far as a look has found it. */
function isImageGone(job: SnapshotJob): boolean {
  if (job.discarding || job.imageGoneAt !== undefined) return true;
  return isFinished(job) && (!job.committed || job.request.backup?.keep === 0);
}
