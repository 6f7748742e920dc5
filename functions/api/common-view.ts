import { z } from '@hono/zod-openapi';
import { costOfJob } from '../cost/job.ts';
import { isFinished, type Job } from '../job.ts';
import { WARNING_FOR_OPERATORS } from '../told.ts';
import { DEBTS, JOB_STATUSES } from '../words.ts';
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

export const bytes = z.int().min(0);
export const time = z.iso.datetime();

/** What callers see of every job, whichever state machine it is of. */
const CommonView = z.object({
  id: z.uuid(),
  status: z.enum(JOB_STATUSES),
  phase: z.string().openapi({ description: 'The step that runs or ran last.' }),
  progress: z.int().min(0).max(100).openapi({ description: 'Never falls; 100 only once succeeded.' }),
  bytesRead: bytes.nullable(),
  bytesTotal: bytes.nullable(),
  etaSeconds: z.number().min(0).nullable(),
  pool: z.string(),
  host: z.string().nullable().openapi({
    description: 'Name of the host that does the work; with hostUuid, null for callers of a project.',
  }),
  hostUuid: z.string().nullable(),
  requestedBy: z.string().nullable().openapi({
    description: 'Who asked for it: `keystone:<user>@<project id>`, `jwt:<sub>`, `iam:<arn>` or `local`.',
    example: 'keystone:alice@4f6c',
  }),
  cancelledBy: z.string().nullable().openapi({ description: 'Who cancelled it.' }),
  warnings: z.array(z.string()),
  error: z.object({ name: z.string(), message: z.string() }).nullable(),
  createdAt: time,
  startedAt: time.nullable(),
  finishedAt: time.nullable(),
  virtualBytes: bytes.nullable().openapi({ description: 'Virtual size of the disk.' }),
  sizeBytes: bytes.nullable().openapi({ description: 'Size of the image.' }),
  xapiCalls: z.int().min(0),
  cost: z.object({ usd: z.number(), transitions: z.int(), pricesOf: z.string() }).nullable().openapi({
    description: 'What the finished job costs in AWS, reckoned from its steps; see `npm run cost`.',
  }),
  owes: z.array(z.enum(DEBTS)).openapi({ description: 'What is still to be undone.' }),
  retrying: RetryingView.nullable().openapi({
    description: 'Why it gets no further: its step fails and is tried again. Null once a try succeeds.',
  }),
  waiting: WaitingView.nullable().openapi({ description: 'What it waits for, with nothing failed.' }),
  owing: OwingView.nullable().openapi({
    description: 'Of a job that has ended and owes something: what, why, and what happens next.',
  }),
});

export type CommonView = z.infer<typeof CommonView>;

/** The fields of {@link CommonView}, for the schemas of the views that have more. */
export const commonFields = CommonView.shape;

export function commonView(job: Job, listener: Listener, deps: ViewDeps): CommonView {
  const all = hearsAll(listener);
  return {
    id: job.id,
    status: job.status,
    phase: job.phase,
    progress: progressOf(job),
    bytesRead: job.bytesRead ?? null,
    bytesTotal: job.bytesTotal ?? null,
    etaSeconds: isFinished(job) ? null : (job.etaSeconds ?? null),
    pool: job.pool,
    host: (all && (job.hostName ?? job.hostUuid)) || null,
    hostUuid: (all && job.hostUuid) || null,
    requestedBy: job.actor ?? null,
    cancelledBy: job.cancelledBy ?? null,
    warnings: [...(all ? (job.warnings ?? []) : warningsForAll(job))],
    error: job.error ? toldTo(listener, job.error) : null,
    createdAt: job.createdAt,
    startedAt: job.startedAt ?? null,
    finishedAt: job.finishedAt ?? null,
    virtualBytes: job.virtualBytes ?? null,
    sizeBytes: job.imageBytes ?? null,
    xapiCalls: job.xapiCalls ?? 0,
    cost: costOfJob(job) ?? null,
    owes: [...(job.debts ?? [])],
    retrying: retryingView(job, listener),
    waiting: waitingView(job, listener, deps),
    owing: owingView(job, listener, deps),
  };
}

/** A job of an earlier version has but warnings for operators. */
function warningsForAll({ warnings = [], warningsForAll: told = [] }: Job): ReadonlySet<string> {
  return new Set(warnings.length > 0 && told.length === 0 ? [WARNING_FOR_OPERATORS] : told);
}
