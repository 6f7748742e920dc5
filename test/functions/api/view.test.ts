import { expect, it } from 'vitest';
import { progressOf } from '../../../functions/api/progress.ts';
import { RestoreView, restoreView } from '../../../functions/api/restore-view.ts';
import type { Listener } from '../../../functions/api/told-to.ts';
import { JobView, jobView } from '../../../functions/api/view.ts';
import { parseConfig } from '../../../functions/config.ts';
import type { RestoreJob, Retrying, SnapshotJob } from '../../../functions/job.ts';
import { aJob, aRestore } from './a-job.ts';

const CONFIG = parseConfig(
  JSON.stringify({
    installation: 'prod',
    pools: [{ name: 'demo', addresses: ['https://10.0.0.1'], secretId: 'pool/demo' }],
    glance: { url: 'https://glance.example' },
  }),
);
const DEPS = { config: CONFIG, clock: { now: () => new Date('2026-01-01T00:05:00.000Z') } };
const OPERATOR = { id: 'local', actor: 'local', role: 'admin' } as const;

/** What is on record as a job goes its way, with a requeue and an upload that fails once. */
const LIFE: Partial<SnapshotJob>[] = [
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

/** The same of a restore whose first download fails, and whose image has to be read twice. */
const RESTORES_LIFE: Partial<RestoreJob>[] = [
  { status: 'starting', phase: 'Requested' },
  { status: 'queued', phase: 'InspectImage', hostUuid: 'h1', imageBytes: 100 },
  { phase: 'QueueForHost', group: 'demo/h1', ticketState: 'waiting' },
  { status: 'running', phase: 'ConfirmHost', ticketState: 'granted' },
  { phase: 'CreateDisks', diskUuid: 'd', debts: new Set(['disk']) },
  { phase: 'StartDownload', uploadAttempts: 1, bytesRead: 0, debts: new Set(['disk', 'plugin']) },
  { phase: 'PollDownload', bytesRead: 10, bytesTotal: 100 },
  { phase: 'PollDownload', bytesRead: 99, bytesTotal: 100 },
  { phase: 'PollDownload', bytesRead: 100, bytesTotal: 100 },
  { phase: 'PollDownload', bytesRead: 110, bytesTotal: 200 },
  { phase: 'StartDownload', uploadAttempts: 2, bytesRead: 0 },
  { phase: 'PollDownload', bytesRead: 150 },
  { phase: 'PollDownload', bytesRead: 200, debts: new Set(['disk']) },
  { phase: 'CreateVm', debts: new Set(['disk', 'vm']) },
  { phase: 'CreateVm', restoredVmUuid: 'v', vmName: 'web-1' },
  { phase: 'FinishRestore' },
  { phase: 'FinishRestore', committed: true, debts: undefined as never },
  { phase: 'ReleaseHost' },
  { status: 'succeeded', finishedAt: '2026-01-01T00:09:00.000Z' },
];

it.each([
  ['a snapshot', aJob(), LIFE],
  ['a restore', aRestore(), RESTORES_LIFE],
])('shows of %s a progress that never falls and is 100 only once the job has succeeded', (_, first, life) => {
  let job = first;
  let before = 0;
  const seen = new Set<number>();
  for (const step of life) {
    job = { ...job, ...step } as typeof job;
    const progress = progressOf(job);
    expect(progress, JSON.stringify(step)).toBeGreaterThanOrEqual(before);
    expect(progress === 100).toBe(job.status === 'succeeded');
    before = progress;
    seen.add(progress);
  }
  expect(seen.size).toBeGreaterThan(11);
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
  expect(jobView(job, OPERATOR, DEPS).imageId).toBe(job.id);
  expect(jobView({ ...job, ...ended, status: 'succeeded', committed: true }, OPERATOR, DEPS).imageId).toBe(
    job.id,
  );
  expect(jobView({ ...job, ...ended, status: 'failed' }, OPERATOR, DEPS).imageId).toBeNull();
  expect(jobView({ ...job, discarding: true }, OPERATOR, DEPS).imageId).toBeNull();
});

it('shows every field of the contract, and what is not known yet as null', () => {
  const view = jobView(aJob(), OPERATOR, DEPS);
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
  expect(JSON.stringify(jobView(aJob(inner), OPERATOR, DEPS))).not.toContain('hidden');
});

const RETRYING: Retrying = {
  ...{ name: 'GlanceUnavailable', message: 'https://10.0.0.9 does not answer' },
  ...{ state: 'VerifyImage', failures: 3, since: '2026-01-01T00:01:00.000Z' },
  ...{ at: '2026-01-01T00:04:50.000Z', nextTryBy: '2026-01-01T00:05:10.000Z' },
};
const MEMBER = { ...OPERATOR, project: { id: 'p1' } } as unknown as Listener;
const FINISHED = { finishedAt: '2026-01-01T00:04:00.000Z', status: 'failed' } as const;

it('shows of what its step has failed while that is tried again, to a project without the addresses', () => {
  const job = aJob({ phase: 'VerifyImage', retrying: RETRYING });
  expect(jobView(job, OPERATOR, DEPS).retrying).toEqual(RETRYING);
  const told = jobView(job, MEMBER, DEPS).retrying;
  expect(told).toMatchObject({ name: 'GlanceUnavailable', failures: 3 });
  expect(told?.message).not.toContain('10.0.0.9');
  // A step that has gone on to the next state, or to the end, is not tried again.
  expect(jobView({ ...job, phase: 'RelockVm' }, OPERATOR, DEPS).retrying).toBeNull();
  expect(jobView({ ...job, ...FINISHED }, OPERATOR, DEPS).retrying).toBeNull();
});

it.each<[string, Partial<SnapshotJob>, object | null]>([
  [
    'its time',
    { startAfter: '2026-01-01T00:09:00.000Z' },
    { for: 'window', until: '2026-01-01T00:09:00.000Z' },
  ],
  [
    'its VM',
    { waitForVmUntil: '2026-01-01T01:00:00.000Z' },
    { for: 'vm', until: '2026-01-01T01:00:00.000Z' },
  ],
  ['a slot', { phase: 'QueueForHost', ticketState: 'waiting' }, { for: 'slot' }],
  ['nothing once it has the slot', { phase: 'QueueForHost', ticketState: 'granted' }, null],
  ['the coalescer', { phase: 'AwaitCoalesce' }, { for: 'coalescer' }],
  ['nothing while its step runs', { phase: 'AwaitCoalesce', stepUntil: '2026-01-01T00:06:00.000Z' }, null],
  [
    'its host',
    { phase: 'PollUpload', hostAwaySince: '2026-01-01T00:04:00.000Z' },
    { for: 'host', since: '2026-01-01T00:04:00.000Z', until: expect.any(String) },
  ],
])('says that a job waits for %s', (_what, fields, waiting) => {
  const view = jobView(aJob(fields), OPERATOR, DEPS);
  if (waiting === null) expect(view.waiting).toBeNull();
  else expect(view.waiting).toMatchObject(waiting);
});

it('says why a job stands in line while its pool does not answer', () => {
  const job = aJob({ phase: 'QueueForHost', ticketState: 'waiting' });
  const health = { failures: 3, reason: '10.0.0.1 is away', pausedUntil: '2026-01-01T00:05:30.000Z' };
  const reasonFor = (listener: Listener) => jobView(job, listener, { ...DEPS, health }).waiting;
  expect(reasonFor(OPERATOR)).toMatchObject({
    for: 'pool',
    reason: { name: 'PoolUnreachable', message: '10.0.0.1 is away' },
  });
  expect(JSON.stringify(reasonFor(MEMBER))).not.toContain('10.0.0.1');
});

it('says what a job that has ended owes, why, and what happens next', () => {
  const debts = new Set(['image', 'relock'] as const);
  const owing = (fields: Partial<SnapshotJob>, listener: Listener = OPERATOR) =>
    jobView(aJob({ ...FINISHED, debts, ...fields }), listener, {
      ...DEPS,
      nextRound: '2026-01-01T00:15:00.000Z',
    }).owing;
  expect(owing({ owesBecause: '10.0.0.1 is away' })).toEqual({
    message:
      'It has still to delete its unfinished image and lock the VM. The last try failed: 10.0.0.1 is away. The janitor tries again every 15 minutes, next at 2026-01-01T00:15:00.000Z.',
    holdsVm: true,
    nextTryAt: '2026-01-01T00:15:00.000Z',
  });
  expect(owing({ owesBecause: '10.0.0.1 is away' }, MEMBER)?.message).not.toContain('10.0.0.1');
  const away = {
    debts: new Set(['plugin', 'slot'] as const),
    ...{ hostName: 'xen1', closing: true, hostAwaySince: '2025-12-31T23:00:00.000Z' },
  };
  expect(owing(away)).toMatchObject({
    message: expect.stringContaining('waits until the host "xen1" answers or has left the pool'),
    holdsVm: false,
  });
  expect(owing(away, MEMBER)?.message).not.toContain('xen1');
  expect(owing({ ...away, hostAwaySince: '2026-01-01T00:04:59.000Z' })).toMatchObject({
    message: expect.stringContaining('The VM waits for the host "xen1" until '),
    holdsVm: true,
  });
  expect(owing({ debts: new Set<never>() })).toBeNull();
  expect(owing({ finishedAt: undefined } as never)).toBeNull();
});

it('shows of a restore what it has made for as long as that is there', () => {
  const made = { diskUuid: 'd', restoredVmUuid: 'v', vmName: 'web-1', restoredMacs: 'new' as const };
  const seen = (fields: Partial<RestoreJob>) => restoreView(aRestore(fields), OPERATOR, DEPS);
  const nothing = { vm: null, diskUuid: null, macs: null };
  const view = seen({});
  expect(RestoreView.parse(view)).toEqual(view);
  expect(view).toMatchObject({ ...nothing, image: { name: null }, host: null, bytesWritten: null });
  const all = { vm: { uuid: 'v', name: 'web-1' }, diskUuid: 'd', macs: 'new' };
  expect(seen({ ...made, debts: new Set(['disk', 'vm']) })).toMatchObject(all);
  expect(seen({ ...made, committed: true })).toMatchObject(all);
  expect(seen({ ...made, ...FINISHED, debts: new Set(['disk']) })).toMatchObject({
    ...nothing,
    diskUuid: 'd',
  });
  expect(seen({ ...made, ...FINISHED })).toMatchObject(nothing);
});

it('says what a restore owes in its own words, and that no VM waits for it', () => {
  const debts = new Set(['plugin', 'secret', 'disk', 'vm'] as const);
  const owing = (fields: Partial<RestoreJob>) =>
    restoreView(aRestore({ ...FINISHED, debts, ...fields }), OPERATOR, DEPS).owing;
  expect(owing({})).toEqual({
    message:
      "It has still to see its download stopped, take its download's token out of the pool, destroy the VM that it has made and destroy the disk that it has made. The janitor tries again every 15 minutes.",
    holdsVm: false,
    nextTryAt: null,
  });
  const away = { hostName: 'xen1', closing: true, debts: new Set(['plugin', 'disk'] as const) };
  expect(owing({ ...away, hostAwaySince: '2025-12-31T23:00:00.000Z' })?.message).toContain(
    'That waits until the host "xen1" answers or has left the pool. The janitor',
  );
  expect(owing({ ...away, hostAwaySince: '2026-01-01T00:04:59.000Z' })?.message).not.toContain('VM waits');
});

it('shows a restore into a VM that is there with that VM, which waits for it, and what it waits for', () => {
  const into: NonNullable<RestoreJob['into']> = {
    ...{ uuid: 'v', name: 'shop', device: '0', diskUuid: 'old', srUuid: 's', shutdown: true },
  };
  const seen = (fields: Partial<RestoreJob>) => restoreView(aRestore({ into, ...fields }), OPERATOR, DEPS);
  const asking = { phase: 'SwapDisk', shutdownSince: '2026-01-01T00:04:00.000Z' } as const;
  expect(seen(asking)).toMatchObject({
    vm: { uuid: 'v', name: 'shop' },
    into: { device: '0', diskUuid: 'old', shutdown: true, undoneAt: null, keptGoneAt: null },
    waiting: { for: 'guest', since: '2026-01-01T00:04:00.000Z', until: '2026-01-01T00:29:00.000Z' },
  });
  const owes = { ...FINISHED, debts: new Set(['swap', 'disk'] as const) };
  expect(seen(owes).owing).toMatchObject({
    message: expect.stringContaining('see that the VM has the disk that it is to have'),
    holdsVm: true,
  });
});
