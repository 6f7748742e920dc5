import { expect, it } from 'vitest';
import { billOf } from '../../functions/cost/bill.ts';
import { type CostedJob, costOfJob } from '../../functions/cost/job.ts';
import { PLAIN_JOB, PLAIN_RESTORE } from '../../functions/cost/model.ts';

const at = (seconds: number) => new Date(Date.UTC(2026, 4, 5) + seconds * 1000).toISOString();
/** Asked for, inspected after 5 s, granted at once, snapshot after 10 s, upload from 35 s on for 20 minutes. */
const done: CostedJob = {
  machine: 'snapshot',
  status: 'succeeded',
  createdAt: at(0),
  startedAt: at(5),
  snapshotSentAt: at(8),
  firstUploadAt: at(30),
  finishedAt: at(1236),
  uploadAttempts: 1,
};

it('works out of a job’s times about what the same job was reckoned to cost beforehand', () => {
  const cost = costOfJob(done);
  const before = billOf(PLAIN_JOB);
  expect(cost?.usd).toBeCloseTo(before.usd, 3);
  expect(Math.abs((cost?.transitions ?? 0) - before.walk.transitions)).toBeLessThanOrEqual(6);
  expect(cost?.pricesOf).toMatch(/^\d{4}-/);
});

it('takes the polls from the record where it counts the runs of steps', () => {
  const { runs, transitions } = billOf(PLAIN_JOB).walk;
  const stepRuns = Object.values(runs).reduce((sum, count) => sum + count, 0);
  expect(costOfJob({ ...done, stepRuns })?.transitions).toBe(transitions);
  expect(costOfJob({ ...done, stepRuns: stepRuns + 10 })?.transitions).toBe(transitions + 30);
});

it('reckons a restore by its own state machine, whole and where it failed', () => {
  const { snapshotSentAt: diskSentAt = '', ...times } = done;
  const restore: CostedJob = { ...times, machine: 'restore', diskSentAt };
  const cost = costOfJob(restore)?.usd ?? 0;
  expect(cost).toBeCloseTo(billOf(PLAIN_RESTORE).usd, 3);
  const { firstUploadAt: _upload, ...notDownloaded } = restore;
  const { diskSentAt: _disk, ...notBegun } = notDownloaded;
  const { startedAt: _start, ...notStarted } = notBegun;
  const failures = [notStarted, notBegun, notDownloaded, restore].map(
    (job) => costOfJob({ ...job, status: 'failed', finishedAt: at(60) })?.usd ?? 0,
  );
  expect(failures).toEqual(failures.toSorted((a, b) => a - b));
  expect(failures.every((usd) => usd > 0 && usd < cost)).toBe(true);
});

it('knows no cost of a job that still runs', () => {
  const { finishedAt: _, ...running } = done;
  expect(costOfJob({ ...running, status: 'running' })).toBeUndefined();
});

it.each<[string, Partial<CostedJob>]>([
  [
    'was never started',
    { startedAt: undefined, snapshotSentAt: undefined, firstUploadAt: undefined } as object,
  ],
  ['failed before its snapshot', { snapshotSentAt: undefined, firstUploadAt: undefined } as object],
  ['failed before its upload', { firstUploadAt: undefined } as object],
  ['failed after its upload', {}],
])('costs less than a whole job where it %s', (_what, fields) => {
  const failed = Object.fromEntries(
    Object.entries({ ...done, ...fields }).filter(([, value]) => value !== undefined),
  );
  const cost = costOfJob({ ...(failed as unknown as CostedJob), status: 'failed', finishedAt: at(60) });
  expect(cost?.usd).toBeGreaterThan(0);
  expect(cost?.usd).toBeLessThan(costOfJob(done)?.usd ?? 0);
});

it('counts each try of an upload', () => {
  const tried = costOfJob({ ...done, uploadAttempts: 3 });
  expect(tried?.transitions).toBeGreaterThan(costOfJob(done)?.transitions ?? 0);
});
