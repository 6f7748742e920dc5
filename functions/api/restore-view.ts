import { z } from '@hono/zod-openapi';
import type { RestoreJob } from '../job.ts';
import { type Debt, REACHED } from '../words.ts';
import { bytes, commonFields, commonView } from './common-view.ts';
import type { ViewDeps } from './job-waits.ts';
import type { Listener } from './told-to.ts';

/** A restore as callers see it. */
export const RestoreView = z
  .object({
    ...commonFields,
    phase: commonFields.phase.openapi({ example: 'PollDownload' }),
    bytesRead: bytes.nullable().openapi({ description: "Of Glance's bytes; of bytesTotal." }),
    bytesTotal: bytes.nullable().openapi({
      description: "The image's size; more where the image has to be read more than once.",
    }),
    bytesWritten: bytes
      .nullable()
      .openapi({ description: 'To the disk: zeros need not be written everywhere.' }),
    image: z
      .object({ id: z.uuid(), name: z.string().nullable() })
      .openapi({ description: 'What is restored; its name once it was looked at.' }),
    vm: z.object({ uuid: z.string(), name: z.string() }).nullable().openapi({
      description:
        'The VM that is there, if one was named; else the VM that was made, with the name that it gets in the end. Null before it is there, once it was destroyed again, and where the disk alone is restored.',
    }),
    diskUuid: z
      .string()
      .nullable()
      .openapi({ description: 'Of the disk that was made; null before, and once it was destroyed again.' }),
    sr: z.string().nullable().openapi({ description: 'UUID of the SR that the disk goes to.' }),
    macs: z.enum(['kept', 'new']).nullable().openapi({
      description: 'What became of the MAC addresses; the warnings say which changed, and why.',
    }),
    start: z.boolean().openapi({ description: 'Whether the VM is started in the end.' }),
    test: z.boolean().openapi({ description: 'Whether it is a test, of which nothing stays.' }),
    reached: z
      .enum(REACHED)
      .nullable()
      .openapi({ description: 'How far a test came; null before it is proved, and for no test.' }),
    disksOnly: z.boolean().openapi({ description: 'The disk alone was asked for.' }),
    into: z
      .object({
        device: z.string().openapi({ description: 'Position of the disk.', example: '0' }),
        diskUuid: z.string().openapi({ description: 'Of the disk that the VM had there before.' }),
        shutdown: z.boolean(),
        undoneAt: z.iso.datetime().nullable().openapi({ description: 'When it got that one back.' }),
        keptGoneAt: z.iso
          .datetime()
          .nullable()
          .openapi({ description: 'When the disk that was kept was destroyed.' }),
      })
      .nullable()
      .openapi({ description: 'Where `vm` was there before, and its disk was exchanged.' }),
  })
  .openapi('Restore');

export type RestoreView = z.infer<typeof RestoreView>;

/** A page of the list of restores. */
export const RestorePage = z
  .object({ restores: z.array(RestoreView), next: z.string().nullable() })
  .openapi('RestorePage');

export type RestorePage = z.infer<typeof RestorePage>;

export function restoreView(job: RestoreJob, listener: Listener, deps: ViewDeps): RestoreView {
  const { restoredVmUuid, diskUuid, vmName = '', into } = job;
  const hasVm = restoredVmUuid !== undefined && isThere(job, 'vm');
  return {
    ...commonView(job, listener, deps),
    bytesWritten: job.bytesWritten ?? null,
    image: { id: job.request.image, name: job.imageName ?? null },
    vm: into ? { uuid: into.uuid, name: into.name } : hasVm ? { uuid: restoredVmUuid, name: vmName } : null,
    diskUuid: (isThere(job, 'disk') && diskUuid) || null,
    sr: job.srUuid ?? null,
    macs: (hasVm && job.restoredMacs) || null,
    start: job.request.start,
    test: job.request.test ?? false,
    reached: job.reached ?? null,
    disksOnly: job.request.disksOnly,
    into: into
      ? {
          ...{ device: into.device, diskUuid: into.diskUuid, shutdown: into.shutdown },
          ...{ undoneAt: job.undoneAt ?? null, keptGoneAt: job.keptGoneAt ?? null },
        }
      : null,
  };
}

/** Whether what the job made is still there: it is owed until it is destroyed, or stays, unless it was for a test. */
function isThere({ committed, debts, request }: RestoreJob, what: Debt): boolean {
  return (committed === true && !request.test) || debts?.has(what) === true;
}
