import { z } from '@hono/zod-openapi';
import type { Image } from '../../../glance/image.ts';
import { isFinished, type SnapshotJob } from '../../job.ts';
import { progressOf } from '../progress.ts';

export const ImageView = z
  .object({
    image: z.object({
      id: z.string(),
      serverId: z.string().openapi({ description: "The VM's UUID." }),
      name: z.string(),
      created: z.string(),
      updated: z.string(),
      status: z.enum(['QUEUED', 'PREPARING', 'SAVING', 'ACTIVE', 'FAILED']),
      progress: z.int().min(0).max(100),
    }),
  })
  .openapi('CloudServersImage');

type ImageView = z.infer<typeof ImageView>;

/** An image as its job tells of it. */
export function viewOfJob(job: SnapshotJob): ImageView {
  const status = statusOf(job);
  return {
    image: {
      id: job.id,
      serverId: job.vmUuid,
      name: job.request.name,
      created: wholeSeconds(job.createdAt),
      updated: wholeSeconds(job.finishedAt ?? job.startedAt ?? job.createdAt),
      status,
      progress: status === 'ACTIVE' ? 100 : progressOf(job),
    },
  };
}

/** An image whose job is no longer on record. */
export function viewOfImage(image: Image): ImageView {
  return {
    image: {
      id: image.id,
      serverId: image.properties.xensnap_vm ?? '',
      name: image.name ?? '',
      created: wholeSeconds(image.createdAt),
      updated: wholeSeconds(image.updatedAt),
      status: 'ACTIVE',
      progress: 100,
    },
  };
}

/** It never goes back: no step before the upload is repeated once a later one has begun. */
function statusOf(job: SnapshotJob): ImageView['image']['status'] {
  if (job.committed) return 'ACTIVE';
  if (isFinished(job) || job.closing) return 'FAILED';
  switch (job.phase) {
    case 'Requested':
    case 'TakeVm':
    case 'InspectVm':
    case 'QueueForHost':
    case 'ConfirmHost':
      return 'QUEUED';
    case 'UnlockVm':
    case 'StartSnapshot':
    case 'PollSnapshot':
    case 'AwaitCoalesce':
      return 'PREPARING';
    case 'StartUpload':
    case 'PollUpload':
    case 'VerifyImage':
      return 'SAVING';
    default:
      return 'FAILED';
  }
}

/** A time as that API writes it. */
function wholeSeconds(time: string): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`;
}
