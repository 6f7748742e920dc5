import { randomUUID } from 'node:crypto';
import { expect, it, vi } from 'vitest';
import type { EventsView } from '../../functions/api/event-view.ts';
import { scenario } from '../support/scenario.ts';

it('tells what a job has done, how often it tried, and of what the tries failed', async () => {
  const { pool, ask, request, job } = await scenario({ pool: { vms: 1, diskMib: 2 } });
  const code = 'OTHER_OPERATION_IN_PROGRESS';
  const params = ['VM', 'OpaqueRef:x'];
  pool.faults.add({ method: 'VM.add_to_other_config', code, params, times: 2 });
  const { id } = await job(await request(pool.vms()[0]?.uuid ?? ''));
  // The job is settled a moment before its execution leaves the last state.
  const { status, body } = await vi.waitFor(async () => {
    const answer = await ask('GET', `/snapshots/${id}/events`);
    expect((answer.body as EventsView).events.filter(({ to }) => to === null)).toEqual([]);
    return answer;
  }, 30_000);
  expect(status).toBe(200);
  const { events } = body as EventsView;
  expect(events.map(({ state }) => state)).toEqual([
    'Requested',
    'TakeVm',
    'InspectVm',
    'QueueForHost',
    'ConfirmHost',
    'UnlockVm',
    'StartSnapshot',
    'PollSnapshot',
    'AwaitCoalesce',
    'StartUpload',
    'PollUpload',
    'VerifyImage',
    'DestroySnapshot',
    'RelockVm',
    'ReleaseHost',
    'Finished',
  ]);
  const unlock = events.find(({ state }) => state === 'UnlockVm');
  expect(unlock).toMatchObject({ tries: 3, failures: 2, failure: { name: 'XapiBusy' }, nextTryBy: null });
  for (const { from, to, state } of events) expect(to !== null && from <= to, state).toBe(true);
  const times = events.map(({ from }) => from);
  expect(times.toSorted()).toEqual(times);
  expect((await ask('GET', `/snapshots/${randomUUID()}/events`)).status).toBe(404);
});

it('tells while a job waits to be tried again why, and by when it is', async () => {
  const away = { method: 'GET', path: /^\/v2\/images\/[^/]+$/, status: 503, times: 1e6 };
  const { glance, ask, request, job, pool } = await scenario({
    pool: { vms: 1, diskMib: 2 },
    speed: 1,
    service: ({ glance }) => ({
      onState: (_job, state) => void (state === 'VerifyImage' && glance.faults.add(away)),
    }),
  });
  const id = await request(pool.vms()[0]?.uuid ?? '');
  await job(id, ({ phase, stepRuns = 0, stepUntil }) => {
    return phase === 'VerifyImage' && stepUntil === undefined && stepRuns > 0;
  });
  const { body } = await ask('GET', `/snapshots/${id}/events`);
  const last = (body as EventsView).events.at(-1);
  expect(last).toMatchObject({ state: 'VerifyImage', to: null, failure: { name: 'GlanceUnavailable' } });
  expect(Date.parse(last?.nextTryBy ?? '')).toBeGreaterThan(Date.parse(last?.failure?.at ?? ''));
  const { retrying } = (await ask('GET', `/snapshots/${id}`)).body;
  expect(retrying).toMatchObject({ state: 'VerifyImage', name: 'GlanceUnavailable' });
  expect(retrying.failures).toBeGreaterThanOrEqual(1);
  expect(retrying.at >= retrying.since && retrying.nextTryBy > retrying.at).toBe(true);
  expect((await ask('GET', '/snapshots')).body.snapshots[0].retrying).toMatchObject({ state: 'VerifyImage' });
  glance.faults.clear();
  expect((await job(id)).retrying).toBeUndefined();
  expect((await job(id)).status).toBe('succeeded');
});
