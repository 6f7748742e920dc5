import { z } from '@hono/zod-openapi';
import { costOfJob } from '../cost/job.ts';
import { isFinished, type SnapshotJob } from '../job.ts';
import { WARNING_FOR_OPERATORS } from '../told.ts';
import { CONSISTENCIES, DEBTS, DEFAULT_FORMAT, IMAGE_FORMATS, JOB_STATUSES } from '../words.ts';
import {
  OwingView,
  owingView,
  RetryingView,
  retryingView,
  type ViewDeps,
  WaitingView,
  waitingView,
} from './job-waits.ts';
import { progressOf } from './progress.ts';
import { hearsAll, type Listener, toldTo } from './told-to.ts';

const bytes = z.int().min(0);
const time = z.iso.datetime();

/** A job as callers see it. */
export const JobView = z
  .object({
    id: z.uuid().openapi({ description: 'Of the job, of its image and of its execution.' }),
    status: z.enum(JOB_STATUSES),
    phase: z.string().openapi({ description: 'The step that runs or ran last.', example: 'PollUpload' }),
    progress: z.int().min(0).max(100).openapi({ description: 'Never falls; 100 only once succeeded.' }),
    bytesRead: bytes.nullable().openapi({ description: 'Read of the disk, uncompressed; of bytesTotal.' }),
    bytesSent: bytes.nullable().openapi({ description: 'Sent to Glance; VHDs are compressed.' }),
    bytesTotal: bytes
      .nullable()
      .openapi({ description: 'To be read: all VHDs, or the whole of a raw disk.' }),
    etaSeconds: z.number().min(0).nullable(),
    vm: z.object({ uuid: z.string(), name: z.string() }),
    pool: z.string(),
    host: z.string().nullable().openapi({
      description: 'Name of the host that uploads; with hostUuid, null for callers of a project.',
    }),
    hostUuid: z.string().nullable(),
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
    requestedBy: z.string().nullable().openapi({
      description: 'Who asked for it: `keystone:<user>@<project id>`, `jwt:<sub>`, `iam:<arn>` or `local`.',
      example: 'keystone:alice@4f6c',
    }),
    cancelledBy: z.string().nullable().openapi({ description: 'Who cancelled it.' }),
    consistency: z.enum(CONSISTENCIES).nullable(),
    warnings: z.array(z.string()),
    error: z.object({ name: z.string(), message: z.string() }).nullable(),
    createdAt: time,
    startedAt: time.nullable(),
    finishedAt: time.nullable(),
    virtualBytes: bytes.nullable().openapi({ description: 'Virtual size of the disk.' }),
    sizeBytes: bytes.nullable().openapi({ description: 'Size of the image.' }),
    sha512: z.string().nullable(),
    vhds: z
      .array(z.object({ name: z.string(), uuid: z.string(), bytes }))
      .openapi({ description: 'Of the bundle, the newest layer first; none for a raw image.' }),
    xapiCalls: z.int().min(0),
    cost: z.object({ usd: z.number(), transitions: z.int(), pricesOf: z.string() }).nullable().openapi({
      description: 'What the finished job costs in AWS, reckoned from its steps; see `npm run cost`.',
    }),
    owes: z
      .array(z.enum(DEBTS))
      .openapi({ description: 'What is still to be undone; the VM is free once this is empty.' }),
    retrying: RetryingView.nullable().openapi({
      description: 'Why it gets no further: its step fails and is tried again. Null once a try succeeds.',
    }),
    waiting: WaitingView.nullable().openapi({ description: 'What it waits for, with nothing failed.' }),
    owing: OwingView.nullable().openapi({
      description: 'Of a job that has ended and owes something: what, why, and what happens next.',
    }),
  })
  .openapi('Job');

export type JobView = z.infer<typeof JobView>;

/** A page of the list of jobs. */
export const JobPage = z
  .object({ snapshots: z.array(JobView), next: z.string().nullable() })
  .openapi('JobPage');

export type JobPage = z.infer<typeof JobPage>;

export function jobView(job: SnapshotJob, listener: Listener, deps: ViewDeps): JobView {
  const finished = isFinished(job);
  const all = hearsAll(listener);
  return {
    id: job.id,
    status: job.status,
    phase: job.phase,
    progress: progressOf(job),
    bytesRead: job.bytesRead ?? null,
    bytesSent: job.bytesSent ?? null,
    bytesTotal: job.bytesTotal ?? null,
    etaSeconds: finished ? null : (job.etaSeconds ?? null),
    vm: { uuid: job.vmUuid, name: job.vmName },
    pool: job.pool,
    host: (all && (job.hostName ?? job.hostUuid)) || null,
    hostUuid: (all && job.hostUuid) || null,
    imageId: isImageGone(job) ? null : job.id,
    imageName: job.request.name,
    format: job.request.format ?? DEFAULT_FORMAT,
    device: job.device ?? null,
    flatten: job.request.flatten ?? false,
    backup: job.request.backup ?? null,
    run: job.run ?? null,
    requestedBy: job.actor ?? null,
    cancelledBy: job.cancelledBy ?? null,
    consistency: job.consistency ?? null,
    warnings: [...(all ? (job.warnings ?? []) : warningsForAll(job))],
    error: job.error ? toldTo(listener, job.error) : null,
    createdAt: job.createdAt,
    startedAt: job.startedAt ?? null,
    finishedAt: job.finishedAt ?? null,
    virtualBytes: job.virtualBytes ?? null,
    sizeBytes: job.imageBytes ?? null,
    sha512: job.sha512 ?? null,
    vhds: (job.vhds ?? []).map(({ name, uuid, bytes }) => ({ name, uuid, bytes })),
    xapiCalls: job.xapiCalls ?? 0,
    cost: costOfJob(job) ?? null,
    owes: [...(job.debts ?? [])],
    retrying: retryingView(job, listener),
    waiting: waitingView(job, listener, deps),
    owing: owingView(job, listener, deps),
  };
}

/** A job of an earlier version has but warnings for operators. */
function warningsForAll({ warnings = [], warningsForAll: told = [] }: SnapshotJob): ReadonlySet<string> {
  return new Set(warnings.length > 0 && told.length === 0 ? [WARNING_FOR_OPERATORS] : told);
}

/** Whether this job, a rotation or somebody else has deleted it, the last as far as a look has found it. */
function isImageGone(job: SnapshotJob): boolean {
  if (job.discarding || job.imageGoneAt !== undefined) return true;
  return isFinished(job) && (!job.committed || job.request.backup?.keep === 0);
}
