import { expect, it, vi } from 'vitest';
import { XensnapError } from '../../functions/errors.ts';
import type { SnapshotJob } from '../../functions/job.ts';
import { owe, step } from '../../functions/step.ts';
import { Jobs } from '../../functions/store/jobs.ts';
import { type FactName, MACHINES, STEPS, type StepName } from '../../statemachine/contract.ts';
import { RETRYABLE_ERRORS } from '../../statemachine/retries.ts';
import type { Session } from '../../xapi/session.ts';
import { admissionsOfFile } from './queue/an-admission.ts';
import { anOutcome, NOW, newJob, newRestore } from './store/a-store.ts';

const parts = admissionsOfFile();
const store = () => parts.runtime.store;

/** The runtime with sessions of a pool that does not matter, in which the step makes so many calls. */
function runtimeWith(callCount = 0) {
  const session = { callCount } as Session;
  const withSession = <T>(
    _pool: string,
    use: (xapi: Session) => Promise<T>,
    _options?: { readonly seconds?: number },
  ) => use(session);
  return { ...parts.runtime, withSession };
}

const named = (name: string) => Object.assign(new Error('why'), { name });

it('is on record while it runs, until when it has surely ended, and no longer', async () => {
  const jobId = await newJob(store());
  let during: SnapshotJob | undefined;
  const handler = step('AwaitCoalesce', { needs: [] }, async () => {
    during = await store().jobs.snapshot(jobId);
    return {
      settled: true,
      waitSeconds: 1,
      chain: [],
      mergeable: false,
      since: '',
      scannedAt: '',
      scanFailed: false,
    };
  });
  const place = { group: 'demo/h1', ticket: 't', confirmed: true };
  const state = {
    jobId,
    take: { taken: true, waitSeconds: 1 },
    place,
    snapshot: { next: 'done', waitSeconds: 1 },
  };
  await handler.in(runtimeWith(3))(state as Parameters<typeof handler>[0]);
  expect(during).toMatchObject({
    phase: 'AwaitCoalesce',
    status: 'running',
    stepUntil: new Date(NOW.getTime() + 120_000).toISOString(),
  });
  const after = await store().jobs.snapshot(jobId);
  expect(after?.stepUntil).toBeUndefined();
  // The logout counts as well.
  expect(after?.xapiCalls).toBe(4);
});

it('reaches the queue where its Lambda does, and nowhere else', async () => {
  const wake = vi.fn();
  const waking = async (runtime?: () => never) => {
    const jobId = await newJob(store());
    const handler = step('TakeVm', { needs: [], ...(runtime && { runtime }) }, async (_state, deps) => {
      await deps.wake('host#demo/h1', []);
      return { taken: true, waitSeconds: 1 };
    });
    await handler.in({ ...runtimeWith(), wake })({ jobId });
    return wake.mock.calls.length;
  };
  expect(await waking()).toBe(0);
  expect(await waking(() => expect.fail('the process has none'))).toBe(1);
});

const isOfRestoreAlone = (name: string) =>
  !Object.values(MACHINES.snapshot).some((line) => (line as readonly string[]).includes(name));

it('has a session that ends 10 s before its Lambda, with time for a call whose answer is lost', async () => {
  const { callSeconds, longCallSeconds } = parts.runtime.config.timings;
  for (const [name, { lambdaSeconds, reaches }] of Object.entries(STEPS)) {
    const jobId = isOfRestoreAlone(name) ? await newRestore(store()) : await newJob(store());
    let given: number | undefined;
    const handler = step(name as StepName, { needs: [] }, async () => undefined as never);
    const runtime = runtimeWith();
    const withSession: typeof runtime.withSession = (pool, use, { seconds } = {}) => {
      given = seconds;
      return runtime.withSession(pool, use);
    };
    await handler.in({ ...runtime, withSession })({ jobId } as never);
    expect(given, name).toBe(lambdaSeconds - 10);
    if (!(reaches as readonly string[]).includes('pool')) continue;
    expect(callSeconds * 2, name).toBeLessThan(lambdaSeconds - 10);
    if (lambdaSeconds >= 120)
      expect(longCallSeconds + 2 * callSeconds, name).toBeLessThanOrEqual(lambdaSeconds - 10);
  }
});

it.each<[string, string, (jobs: Jobs<FactName>, id: string) => Promise<unknown>]>([
  ['was cancelled', 'JobCancelled', (jobs, id) => jobs.cancel(id)],
  ['is closing', 'JobClosing', (jobs, id) => jobs.close(id)],
  ['has ended', 'JobClosing', (jobs, id) => jobs.finish(id, anOutcome)],
])('does not begin for a job that %s: %s', async (_what, name, end) => {
  const jobId = await newJob(store());
  await end(store().jobs, jobId);
  let ran = false;
  const handler = step('TakeVm', { needs: [] }, async () => {
    ran = true;
    return { taken: true, waitSeconds: 1 };
  });
  await expect(handler.in(runtimeWith())({ jobId })).rejects.toMatchObject({ name });
  expect(ran).toBe(false);
});

it('does not begin for a job that nobody knows', async () => {
  const handler = step('TakeVm', { needs: [] }, async () => ({ taken: true, waitSeconds: 1 }));
  await expect(handler.in(runtimeWith())({ jobId: 'nobody' })).rejects.toMatchObject({ name: 'JobUnknown' });
});

it('does not do its work for a job whose record lacks a fact that it needs, and names both', async () => {
  const jobId = await newJob(store());
  let had: string | undefined;
  const handler = step('ConfirmHost', { needs: ['group', 'srUuid'] }, async (_state, { job }) => {
    had = job.srUuid;
    return { group: job.group, ticket: '', confirmed: true };
  });
  const state = { jobId } as Parameters<typeof handler>[0];
  await store().jobs.record(jobId, { group: 'demo/h1' });
  await expect(handler.in(runtimeWith())(state)).rejects.toMatchObject({
    name: 'Internal',
    message: `The record of job ${jobId} lacks "srUuid".`,
  });
  expect(had).toBeUndefined();
  await store().jobs.record(jobId, { srUuid: 's1' });
  await handler.in(runtimeWith())(state);
  expect(had).toBe('s1');
});

it('cleans up for a job that is closing', async () => {
  const jobId = await newJob(store());
  await store().jobs.close(jobId);
  const handler = step('RelockVm', { needs: [] }, async (_state, { job }) => {
    expect(job).toMatchObject({ closing: true, phase: 'RelockVm' });
    return undefined;
  });
  await handler.in(runtimeWith())({ jobId });
});

it('puts on record what has led to the cleanup, with its first step', async () => {
  const jobId = await newJob(store());
  const handler = step('CancelUpload', { needs: [] }, async () => undefined);
  const failure = { Error: 'StorageFull', Cause: '{"errorMessage":"It is full."}' };
  await handler.in(runtimeWith())({ jobId, failure });
  expect((await store().jobs.get(jobId))?.failure).toEqual({ name: 'StorageFull', message: 'It is full.' });
});

it('has no effect on the record any more once another run of a step has begun', async () => {
  const jobId = await newJob(store());
  const goOn = Promise.withResolvers<void>();
  const began = Promise.withResolvers<void>();
  const late = step('UnlockVm', { needs: [] }, async (_state, deps) => {
    began.resolve();
    await goOn.promise;
    await owe(deps, 'relock', { unlockedLive: true });
    return undefined;
  });
  const state = { jobId } as Parameters<typeof late>[0];
  const running = late.in(runtimeWith(1))(state);
  await began.promise;
  let during: SnapshotJob | undefined;
  const next = step('StartSnapshot', { needs: [] }, async (_state, deps) => {
    goOn.resolve();
    await expect(running).rejects.toMatchObject({ name: 'ServiceUnavailable' });
    during = await store().jobs.snapshot(jobId);
    await owe(deps, 'snapshot');
    return undefined;
  });
  await next.in(runtimeWith(1))(state as Parameters<typeof next>[0]);
  // The late one has neither owed anything nor said that no step runs.
  expect(during).toMatchObject({ phase: 'StartSnapshot', stepUntil: expect.any(String) });
  expect(during?.debts).toBeUndefined();
  const after = await store().jobs.snapshot(jobId);
  expect([after?.debts, after?.stepUntil, after?.unlockedLive]).toEqual([
    new Set(['snapshot']),
    undefined,
    undefined,
  ]);
});

it('runs into no debt once the job is being closed, even while it runs', async () => {
  const jobId = await newJob(store());
  const handler = step('TakeVm', { needs: [] }, async (_state, deps) => {
    await store().jobs.close(jobId);
    await owe(deps, 'relock');
    return { taken: true, waitSeconds: 1 };
  });
  await expect(handler.in(runtimeWith())({ jobId })).rejects.toMatchObject({ name: 'JobClosing' });
  expect((await store().jobs.get(jobId))?.debts).toBeUndefined();
});

it.each([
  [named('XapiReplyLost'), 'XapiReplyLost'],
  [named('GlanceUnavailable'), 'GlanceUnavailable'],
  [new XensnapError('StorageFull', 'why'), 'StorageFull'],
])(
  'fails with the name on which the state machine routes, and is not running then: $name',
  async (error, name) => {
    const jobId = await newJob(store());
    const handler = step('TakeVm', { needs: [] }, async () => {
      throw error;
    });
    await expect(handler.in(runtimeWith(1))({ jobId })).rejects.toMatchObject({ name, message: 'why' });
    expect((await store().jobs.get(jobId))?.stepUntil).toBeUndefined();
    expect(parts.logs).toMatchObject([{ level: 'WARN', jobId, step: 'TakeVm', error: name, reason: 'why' }]);
  },
);

it('pauses the line of a pool that three steps in a row could not reach, until one can', async () => {
  const pool = 'demo';
  const jobId = await newJob(store(), { pool });
  const failing = step('TakeVm', { needs: [] }, async () => {
    throw named('XapiUnreachable');
  });
  for (let n = 0; n < 3; n++)
    await expect(failing.in(runtimeWith())({ jobId })).rejects.toMatchObject({ name: 'PoolUnreachable' });
  expect(await store().pools.health(pool)).toMatchObject({
    failures: 3,
    reason: 'why',
    pausedUntil: new Date(NOW.getTime() + 60_000).toISOString(),
  });
  const idle = step('TakeVm', { needs: [] }, async () => ({ taken: true, waitSeconds: 1 }));
  await idle.in(runtimeWith(0))({ jobId });
  // A step that asked the pool nothing knows nothing of it.
  expect((await store().pools.health(pool)).failures).toBe(3);
  await idle.in(runtimeWith(2))({ jobId });
  expect(await store().pools.health(pool)).toMatchObject({ failures: 0 });
});

it('does not begin once the job is past its deadline; the cleanup does', async () => {
  const jobId = await newJob(store(), { deadline: new Date(NOW.getTime() - 1).toISOString() });
  const began: string[] = [];
  const forward = step('UnlockVm', { needs: [] }, async () => void began.push('UnlockVm'));
  const cleanup = step('RelockVm', { needs: [] }, async () => void began.push('RelockVm'));
  const state = { jobId } as Parameters<typeof forward>[0];
  await expect(forward.in(runtimeWith())(state)).rejects.toMatchObject({ name: 'TimedOut' });
  await cleanup.in(runtimeWith())({ jobId });
  expect(began).toEqual(['RelockVm']);
  expect((await store().jobs.get(jobId))?.stepUntil).toBeUndefined();
});

it.each(['before', 'in'] as const)(
  'gives AWS’s throttling a name on which the state machine tries again: %s its work',
  async (where) => {
    const jobId = await newJob(store());
    const throttled = named('ProvisionedThroughputExceededException');
    const handler = step('TakeVm', { needs: [] }, () => Promise.reject(throttled));
    if (where === 'before')
      vi.spyOn(Jobs.prototype, 'begin').mockImplementationOnce(() => Promise.reject(throttled));
    const running = handler.in(runtimeWith())({ jobId });
    await expect(running).rejects.toMatchObject({ name: 'Throttled', cause: throttled });
    expect(RETRYABLE_ERRORS).toContain('Throttled');
  },
);

it('keeps on record of what it fails while it is tried again, until a try succeeds', async () => {
  const jobId = await newJob(store());
  const failing = step('VerifyImage', { needs: [] }, () =>
    Promise.reject(new XensnapError('GlanceUnavailable', 'x'.repeat(5000))),
  );
  const state = { jobId } as Parameters<typeof failing>[0];
  const retrying = async () => (await store().jobs.get(jobId))?.retrying;
  for (const failures of [1, 2, 3]) {
    await expect(failing.in(runtimeWith())(state)).rejects.toMatchObject({ name: 'GlanceUnavailable' });
    const at = NOW.toISOString();
    expect(await retrying()).toMatchObject({ state: 'VerifyImage', name: 'GlanceUnavailable', failures, at });
  }
  expect((await retrying())?.message).toHaveLength(500);
  expect(Date.parse((await retrying())?.nextTryBy ?? '') - NOW.getTime()).toBe(20_000);
  // In another state the count begins anew.
  const other = step('RelockVm', { needs: [] }, () => Promise.reject(new XensnapError('XapiBusy', 'why')));
  await expect(other.in(runtimeWith())({ jobId })).rejects.toMatchObject({ name: 'XapiBusy' });
  expect(await retrying()).toMatchObject({ state: 'RelockVm', failures: 1 });
  await step('RelockVm', { needs: [] }, async () => undefined).in(runtimeWith())({ jobId });
  expect(await retrying()).toBeUndefined();
});

it('keeps no such thing of an error after which no other try is made', async () => {
  const jobId = await newJob(store());
  const full = step('StartSnapshot', { needs: [] }, () =>
    Promise.reject(new XensnapError('StorageFull', 'why')),
  );
  await expect(full.in(runtimeWith())({ jobId } as never)).rejects.toMatchObject({ name: 'StorageFull' });
  expect((await store().jobs.get(jobId))?.retrying).toBeUndefined();
});
