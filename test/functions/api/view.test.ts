import { expect, it } from 'vitest';
import { progressOf } from '../../../functions/api/progress.ts';
import { JobView, jobView } from '../../../functions/api/view.ts';
import type { Job } from '../../../functions/job.ts';
import { aJob } from './a-job.ts';

const OPERATOR = { id: 'local', actor: 'local', role: 'admin' } as const;

/** What is on record as a job goes its way, with a requeue and an upload that fails once. */
const LIFE: Partial<Job>[] = [
  { status: 'starting', phase: 'Requested' },
  { status: 'queued', phase: 'TakeVm' },
  { phase: 'InspectVm', hostUuid: 'h1' },
  { phase: 'QueueForHost', group: 'demo/h1', ticketState: 'waiting' },
  { phase: 'ConfirmHost', ticketState: 'granted' },
  { phase: 'QueueForHost', group: 'demo/h2', ticketState: 'waiting', requeues: 1 },
  { status: 'running', phase: 'ConfirmHost', ticketState: 'granted' },
  { phase: 'UnlockVm' },
  { phase: 'StartSnapshot', snapshotSentAt: '2026-01-01T00:01:00.000Z' },
  { phase: 'PollSnapshot', templateUuid: 't' },
  { phase: 'AwaitCoalesce' },
  { phase: 'StartUpload', uploadAttempts: 1 },
  { phase: 'PollUpload', bytesRead: 10, bytesTotal: 100 },
  { phase: 'PollUpload', bytesRead: 90, bytesTotal: 100 },
  { phase: 'StartUpload', uploadAttempts: 2, bytesRead: 0 },
  { phase: 'PollUpload', bytesRead: 40 },
  { phase: 'PollUpload', bytesRead: 100 },
  { phase: 'VerifyImage' },
  { phase: 'VerifyImage', committed: true },
  { phase: 'CancelUpload' },
  { phase: 'DestroySnapshot' },
  { phase: 'RelockVm' },
  { phase: 'ReleaseHost' },
  { status: 'succeeded', finishedAt: '2026-01-01T00:09:00.000Z' },
];

it('shows a progress that never falls and is 100 only once the job has succeeded', () => {
  let job = aJob();
  let before = 0;
  for (const step of LIFE) {
    job = { ...job, ...step };
    const progress = progressOf(job);
    expect(progress, job.phase).toBeGreaterThanOrEqual(before);
    expect(progress === 100).toBe(job.status === 'succeeded');
    before = progress;
  }
});

it('keeps the progress of a job that fails where it was', () => {
  const failing = aJob({
    phase: 'RelockVm',
    closing: true,
    uploadAttempts: 1,
    bytesRead: 50,
    bytesTotal: 100,
  });
  expect(progressOf(failing)).toBe(44);
});

it('names the image as long as there is one', () => {
  const job = aJob();
  const ended = { finishedAt: '2026-01-01T00:09:00.000Z' };
  expect(jobView(job, OPERATOR).imageId).toBe(job.id);
  expect(jobView({ ...job, ...ended, status: 'succeeded', committed: true }, OPERATOR).imageId).toBe(job.id);
  expect(jobView({ ...job, ...ended, status: 'failed' }, OPERATOR).imageId).toBeNull();
  expect(jobView({ ...job, discarding: true }, OPERATOR).imageId).toBeNull();
});

it('shows every field of the contract, and what is not known yet as null', () => {
  const view = jobView(aJob(), OPERATOR);
  expect(JobView.parse(view)).toEqual(view);
  expect(view).toMatchObject({
    status: 'queued',
    phase: 'TakeVm',
    progress: 1,
    bytesSent: null,
    bytesTotal: null,
    etaSeconds: null,
    vm: { name: 'web-1' },
    pool: 'demo',
    host: null,
    consistency: null,
    warnings: [],
    error: null,
    finishedAt: null,
    owes: [],
  });
});

it('shows nothing that is for the pipeline only', () => {
  const inner = {
    secretUuid: 'hidden-1',
    ticket: 'hidden-2',
    claimedBy: 'hidden-3',
    rootVdiUuid: 'hidden-4',
  };
  expect(JSON.stringify(jobView(aJob(inner), OPERATOR))).not.toContain('hidden');
});
