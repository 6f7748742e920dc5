import { expect, it } from 'vitest';
import type { SnapshotJob } from '../../../functions/job.ts';
import type { Jobs } from '../../../functions/store/jobs.ts';
import type { FactName } from '../../../statemachine/contract.ts';
import { aJob } from '../api/a-job.ts';
import { anOutcome, atOnce, later, NOW, newJob, storeOfFile } from './a-store.ts';

const parts = storeOfFile();
const jobs = () => parts.store.jobs;

it('writes a job once, open, and reads it as it was written', async () => {
  const job = aJob({
    request: { name: 'a', quiesce: 'prefer', metadata: { owner: 'x' }, detached: true, force: true },
  });
  expect(await jobs().create(job)).toBe(true);
  expect(await jobs().get(job.id)).toMatchObject({ ...job, open: 'open' });
  expect(await jobs().create({ ...job, vmName: 'another' })).toBe(false);
  expect(await jobs().get(job.id)).toMatchObject({ vmName: 'web-1' });
  expect(await jobs().get('no-such-job')).toBeUndefined();
});

it('notes which step runs and until when, and its xapi calls when it ends', async () => {
  const id = await newJob(parts.store, { xapiCalls: 3 });
  const begun = await jobs().begin(id, 'UnlockVm', 'running', later(60));
  expect(begun).toMatchObject({
    phase: 'UnlockVm',
    status: 'running',
    stepUntil: '2026-05-05T12:01:00.000Z',
  });
  await jobs().end(id, 7);
  const ended = await jobs().get(id);
  expect(ended).toMatchObject({ phase: 'UnlockVm', xapiCalls: 10 });
  expect(ended?.stepUntil).toBeUndefined();
});

/** What only a job that is alive may do, by name; each answers undefined or false when it is refused. */
const forward: [string, (jobs: Jobs<FactName>, id: string) => Promise<unknown>][] = [
  ['begin a step', (jobs, id) => jobs.begin(id, 'UnlockVm', 'running', later(60))],
  ['run into debt', (jobs, id) => jobs.owe(id, 'relock')],
  ['queue', (jobs, id) => jobs.queue(id, { group: 'demo/h1', ticket: 't2' })],
  ['be granted its ticket', (jobs, id) => jobs.grant(id, 't1')],
  ['send the snapshot call', (jobs, id) => jobs.sendSnapshot(id, NOW)],
  ['commit', (jobs, id) => jobs.commit(id, NOW)],
];

/** What ends a job's life. */
const ends: [string, (jobs: Jobs<FactName>, id: string) => Promise<unknown>][] = [
  ['closing', (jobs, id) => jobs.close(id)],
  ['cancelled', (jobs, id) => jobs.cancel(id)],
  ['finished', (jobs, id) => jobs.finish(id, anOutcome)],
  ['discarding', (jobs, id) => jobs.discard(id)],
];

it.each(forward)('lets a job that is alive %s', async (_what, act) => {
  const id = await newJob(parts.store, { ticket: 't1' });
  expect(await act(jobs(), id)).toBeTruthy();
});

it.each(forward.flatMap(([what, act]) => ends.map(([how, end]) => [how, what, act, end] as const)))(
  'does not let a job that is %s %s, and leaves it as it is',
  async (_how, _what, act, end) => {
    const id = await newJob(parts.store, { ticket: 't1' });
    await end(jobs(), id);
    const before = await jobs().get(id);
    expect(await act(jobs(), id)).toBeFalsy();
    expect(await jobs().get(id)).toEqual(before);
  },
);

it.each<[string, (jobs: Jobs<FactName>, id: string) => Promise<unknown>]>([
  ...forward,
  ...ends,
  ['begin the cleanup', (jobs, id) => jobs.beginCleanup(id, 'CancelUpload', later(60))],
  ['end a step', (jobs, id) => jobs.end(id, 1)],
  ['record facts', (jobs, id) => jobs.record(id, { hostName: 'x' })],
  ['pay', (jobs, id) => jobs.pay(id, 'slot')],
  ['warn', (jobs, id) => jobs.warn(id, 'x')],
  ['be claimed', (jobs, id) => jobs.claim(id, 'me', NOW, later(60))],
  ['be unclaimed', (jobs, id) => jobs.unclaim(id, 'me')],
  ['settle', (jobs, id) => jobs.settle(id)],
])('never makes a job out of nothing: %s', async (_what, act) => {
  expect(await act(jobs(), 'nobody')).toBeFalsy();
  expect(await jobs().get('nobody')).toBeUndefined();
});

it.each(ends)('lets a job that is %s clean up', async (_how, end) => {
  const id = await newJob(parts.store, {});
  await jobs().owe(id, 'relock');
  await end(jobs(), id);
  expect(await jobs().beginCleanup(id, 'RelockVm', later(60))).toMatchObject({ phase: 'RelockVm' });
  expect((await jobs().pay(id, 'relock'))?.debts).toBeUndefined();
});

it('keeps the status of a job that is cleaned up', async () => {
  const id = await newJob(parts.store);
  await jobs().begin(id, 'StartUpload', 'running', later(60));
  expect(await jobs().beginCleanup(id, 'CancelUpload', later(60))).toMatchObject({ status: 'running' });
});

it('tells the outcome once, of twenty at once, and keeps it', async () => {
  const id = await newJob(parts.store);
  const told = await atOnce(20, (n) =>
    jobs().finish(id, { ...anOutcome, error: { name: 'Broken', message: `${n}` } }),
  );
  const [winner, ...others] = told.filter((job): job is SnapshotJob => job !== undefined);
  expect(others).toEqual([]);
  expect(await jobs().get(id)).toMatchObject({
    status: 'failed',
    error: winner?.error,
    closing: true,
    finishedAt: NOW.toISOString(),
    open: 'open',
  });
});

it('can be cancelled until it is committed or over', async () => {
  const alive = await newJob(parts.store);
  expect(await jobs().cancel(alive)).toMatchObject({ cancelRequested: true, closing: true });
  expect(await jobs().cancel(alive)).toMatchObject({ cancelRequested: true });
  const committed = await newJob(parts.store);
  await jobs().commit(committed, NOW);
  expect(await jobs().cancel(committed)).toBeUndefined();
  const over = await newJob(parts.store);
  await jobs().finish(over, anOutcome);
  expect(await jobs().cancel(over)).toBeUndefined();
});
