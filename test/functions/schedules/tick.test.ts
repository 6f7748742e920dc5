import { expect, it } from 'vitest';
import type { Clock } from '../../../functions/clock.ts';
import { XensnapError } from '../../../functions/errors.ts';
import type { requestSnapshot } from '../../../functions/request.ts';
import type { WholeRuntime } from '../../../functions/runtime.ts';
import { tick } from '../../../functions/schedules.ts';
import { memoryRuntime } from '../../scale/memory-runtime.ts';
import { MemoryTable } from '../../scale/memory-table.ts';
import { aJob } from '../api/a-job.ts';
import { aSchedule } from './a-schedule.ts';

const START = new Date('2026-05-05T02:00:00.000Z');

/** Counts how many of a call are under way at a time. */
function counted<A extends unknown[], R>(call: (...args: A) => Promise<R>) {
  const count = { now: 0, most: 0 };
  const wrapped = async (...args: A): Promise<R> => {
    count.most = Math.max(count.most, ++count.now);
    await new Promise(setImmediate);
    try {
      return await call(...args);
    } finally {
      count.now--;
    }
  };
  return { count, wrapped };
}

/** A runtime whose pool has so many VMs, and the whole of it. */
function poolOf(vms: number, clock: Clock = { now: () => START }): WholeRuntime {
  const records = Object.fromEntries(
    Array.from({ length: vms }, (_, n) => [`ref-${n}`, { uuid: `vm-${n}`, name_label: `vm-${n}`, tags: [] }]),
  );
  return {
    ...memoryRuntime(clock, new MemoryTable()),
    withSession: (_pool, use) => use({ call: async () => records } as never),
  };
}

/** The pool's configuration so many times, named `pool-0` and so on. */
function poolsLike({ config }: WholeRuntime, count: number): WholeRuntime['config']['pools'] {
  return config.pools.flatMap((pool) =>
    Array.from({ length: count }, (_, n) => ({ ...pool, name: `pool-${n}` })),
  );
}

/** Asks for jobs that are on record, and run. */
function asking(runtime: WholeRuntime): { request: typeof requestSnapshot; asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    request: async ({ vm, jobId = '', scheduled, project }) => {
      const { scheduleId = '', nominal = '' } = scheduled ?? {};
      asked.push(project ?? 'nobody');
      const job = aJob({ id: jobId, vmUuid: vm, run: { scheduleId, nominal }, status: 'running' });
      await runtime.store.jobs.create(job);
      return { job, created: true };
    },
  };
}

it('writes the runs of a selector, and which VMs it names, several at a time and never many', async () => {
  const runtime = poolOf(100);
  const { schedules, runs, backups } = runtime.store;
  const { count, wrapped } = counted(runs.create.bind(runs));
  const selected = counted(backups.select.bind(backups));
  runs.create = wrapped;
  backups.select = selected.wrapped;
  await schedules.create(aSchedule(START, { selector: {}, nextAt: START.toISOString() }));
  await tick(runtime, asking(runtime).request);
  expect([count.most, selected.count.most]).toEqual([4, 4]);
  expect((await Array.fromAsync(runs.ofDay('2026-05-05'))).map(({ vmUuid }) => vmUuid).sort()).toEqual(
    Array.from({ length: 100 }, (_, n) => `vm-${n}`).sort(),
  );
  await runtime.close();
});

it('comes to every project in turn, however many runs one has', async () => {
  const runtime = poolOf(0);
  const { schedules, runs } = runtime.store;
  const run = { nominal: START.toISOString(), backupType: 'daily', pool: 'demo' };
  const due = { startAfter: START.toISOString(), startBefore: '2026-05-05T03:00:00.000Z' };
  const nominal = new Date(START.getTime() - 60_000).toISOString();
  for (const [project, count] of [
    ['large', 200],
    ['small', 3],
  ] as const) {
    const schedule = aSchedule(START, { project, selector: {}, nextAt: '2026-05-06T02:00:00.000Z' });
    await schedules.create(schedule);
    for (let n = 0; n < count; n++)
      await runs.create(
        {
          ...{ ...run, ...due, nominal: project === 'large' ? nominal : run.nominal },
          ...{ scheduleId: schedule.id, project, vmUuid: `${project}-${n}`, jobId: crypto.randomUUID() },
        },
        4e9,
      );
  }
  const config = { ...runtime.config, projects: Object.fromEntries(['large', 'small'].map(aProject)) };
  const { asked, request } = asking(runtime);
  await tick({ ...runtime, config }, request);
  expect(asked).toHaveLength(203);
  expect(asked.lastIndexOf('small')).toBeLessThan(10);
  await runtime.close();
});

it('expands a schedule of each project in turn, however many one has, and waits for no pool for ever', async () => {
  let now = START.getTime();
  const runtime = poolOf(1, { now: () => new Date(now) });
  const { schedules, runs } = runtime.store;
  for (let n = 0; n < 50; n++)
    await schedules.create(
      aSchedule(START, {
        ...{ project: 'large', selector: { pool: `pool-${n}` }, nextAt: '2026-05-05T01:00:00.000Z' },
      }),
    );
  const small = aSchedule(START, {
    ...{ project: 'small', selector: { pool: 'pool-50' }, nextAt: START.toISOString() },
  });
  await schedules.create(small);
  const bounds: unknown[] = [];
  const hanging: WholeRuntime['withSession'] = async (pool, _use, options) => {
    bounds.push(options?.seconds);
    now += 25_000;
    throw Object.assign(new Error(pool), { name: 'XapiReplyLost' });
  };
  const projects = Object.fromEntries(['large', 'small'].map(aProject));
  const config = { ...runtime.config, pools: poolsLike(runtime, 51), projects };
  await tick({ ...runtime, config, withSession: hanging }, asking(runtime).request);
  // It was asked, and is to be asked again.
  expect((await schedules.get(small.id))?.askUntil).toBeDefined();
  expect((await schedules.due(new Date(now))).filter(({ askUntil }) => askUntil === undefined)).not.toEqual(
    [],
  );
  expect(new Set(bounds.slice(0, 4))).toEqual(new Set([25]));
  expect(await Array.fromAsync(runs.open())).toEqual([]);
  await runtime.close();
});

const aProject = (id: string) => [
  id,
  { vmTags: [], vmNamePatterns: ['*'], admin: false, maxSchedules: 9, maxOpenJobs: 999 },
];

it('begins with no further schedule and no further job where its time is over, and goes on the next time', async () => {
  let now = START.getTime();
  const runtime = poolOf(1, { now: () => new Date(now) });
  const { schedules } = runtime.store;
  for (let n = 0; n < 12; n++)
    await schedules.create(
      aSchedule(START, { selector: { pool: `pool-${n}` }, nextAt: START.toISOString() }),
    );
  const waiting = async () => (await schedules.due(new Date(now))).length;
  const slowly = { ...runtime, config: { ...runtime.config, pools: poolsLike(runtime, 12) } };
  slowly.withSession = async (pool, use, options) => {
    now += 10_000;
    return runtime.withSession(pool, use, options);
  };
  const { asked, request } = asking(runtime);
  const slow: typeof requestSnapshot = async (...args) => {
    now += 40_000;
    return request(...args);
  };
  await tick(slowly, slow);
  const left = await waiting();
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThan(12);
  // At a minute of jobs, with as many under way as may be.
  expect(asked.length).toBeGreaterThan(0);
  await tick(slowly, request);
  expect(await waiting()).toBe(0);
  await tick(slowly, request);
  expect(asked).toHaveLength(12);
  await runtime.close();
});

it('looks at very many runs whose jobs run four times an hour, and at few every minute', async () => {
  let now = START.getTime();
  const runtime = poolOf(600, { now: () => new Date(now) });
  const { schedules, jobs, runs } = runtime.store;
  await schedules.create(aSchedule(START, { selector: {}, nextAt: START.toISOString() }));
  const { request } = asking(runtime);
  let looks = 0;
  const snapshot = jobs.snapshot.bind(jobs);
  jobs.snapshot = (id) => {
    looks++;
    return snapshot(id);
  };
  const looksOf = async (minutes: number) => {
    looks = 0;
    now += minutes * 60_000;
    await tick(runtime, request);
    return looks;
  };
  // Of so many each minute takes a third.
  for (let minute = 0; minute < 3; minute++) await looksOf(minute && 1);
  expect([await looksOf(1), await looksOf(11), await looksOf(1)]).toEqual([0, 0, 600]);
  for await (const run of runs.begun()) {
    if (Number(run.vmUuid?.slice(3)) >= 150)
      await runs.finish(run, run.jobId, { outcome: 'succeeded', finishedAt: new Date(now) });
  }
  expect([await looksOf(1), await looksOf(1)]).toEqual([150, 150]);
  await runtime.close();
});

it('asks for no job twice although the next looks come while one is still asking for very many', async () => {
  let now = START.getTime();
  const runtime = poolOf(900, { now: () => new Date(now) });
  await runtime.store.schedules.create(aSchedule(START, { selector: {}, nextAt: START.toISOString() }));
  await tick(runtime, async () => {
    throw Object.assign(new Error('not now'), { name: 'ServiceUnavailable' });
  });
  const asked: string[] = [];
  const { request } = asking(runtime);
  const slowly: typeof requestSnapshot = async (...args) => {
    asked.push(args[0].jobId ?? '');
    for (let turns = 0; turns < 20; turns++) await new Promise(setImmediate);
    return request(...args);
  };
  const looks: Promise<void>[] = [];
  for (let minute = 0; minute < 3; minute++) {
    now += 60_000;
    const before = asked.length;
    looks.push(tick(runtime, slowly));
    // It has listed what waits, and asks.
    while (asked.length < before + 16) await new Promise(setImmediate);
  }
  await Promise.all(looks);
  expect([asked.length, new Set(asked).size]).toEqual([900, 900]);
  await runtime.close();
});

it('asks a pool once in a tick, so that one that hangs keeps no schedule of another from its time', async () => {
  let now = START.getTime();
  const runtime = poolOf(1, { now: () => new Date(now) });
  const { schedules } = runtime.store;
  const config = { ...runtime.config, pools: poolsLike(runtime, 2) };
  const nextAt = (minutes: number) => new Date(START.getTime() - minutes * 60_000).toISOString();
  for (let n = 0; n < 40; n++)
    await schedules.create(aSchedule(START, { selector: { pool: 'pool-0' }, nextAt: nextAt(2) }));
  const others = Array.from({ length: 3 }, () =>
    aSchedule(START, { selector: { pool: 'pool-1' }, nextAt: nextAt(1) }),
  );
  for (const other of others) await schedules.create(other);
  const asked: string[] = [];
  const withSession: WholeRuntime['withSession'] = async (pool, use, options) => {
    asked.push(pool);
    if (pool === 'pool-1') return runtime.withSession(pool, use, options);
    now += 25_000;
    throw Object.assign(new Error(pool), { name: 'XapiReplyLost' });
  };
  await tick({ ...runtime, config, withSession }, asking(runtime).request);
  expect(asked.slice(0, 2)).toEqual(['pool-0', 'pool-1']);
  for (const { id } of others) expect((await schedules.get(id))?.nextAt).not.toBe(nextAt(1));
  await runtime.close();
});

it('asks for no further job of a pool that hangs, and says of each of its runs why it waits', async () => {
  const now = START.getTime();
  const runtime = poolOf(0, { now: () => new Date(now) });
  const { schedules, runs } = runtime.store;
  const schedule = aSchedule(START, { selector: {}, nextAt: '2026-05-06T02:00:00.000Z' });
  await schedules.create(schedule);
  for (let n = 0; n < 60; n++)
    await runs.create(
      {
        ...{ scheduleId: schedule.id, nominal: START.toISOString(), backupType: 'daily', pool: 'away' },
        ...{ vmUuid: `vm-${n}`, jobId: crypto.randomUUID() },
        ...{ startAfter: START.toISOString(), startBefore: '2026-05-05T03:00:00.000Z' },
      },
      4e9,
    );
  let tries = 0;
  await tick(runtime, async () => {
    tries++;
    await new Promise(setImmediate);
    throw new XensnapError('PoolUnreachable', 'nothing answers');
  });
  expect(tries).toBeLessThanOrEqual(18);
  const problems = (await Array.fromAsync(runs.open())).map(({ problem }) => problem?.name);
  expect(problems).toEqual(Array.from({ length: 60 }, () => 'PoolUnreachable'));
  await runtime.close();
});

it('says that a run is too late although its project has as many jobs as it may', async () => {
  const now = new Date(START.getTime() + 3_600_000);
  const runtime = poolOf(0, { now: () => now });
  const { schedules, runs } = runtime.store;
  const schedule = aSchedule(START, { project: 'full', selector: {}, nextAt: '2026-05-06T02:00:00.000Z' });
  await schedules.create(schedule);
  const add = (n: number, next: string, startBefore: string) =>
    runs.create(
      {
        ...{ scheduleId: schedule.id, nominal: START.toISOString(), next, backupType: 'daily' },
        ...{ pool: 'demo', vmUuid: `vm-${n}`, jobId: crypto.randomUUID(), project: 'full' },
        ...{ startAfter: START.toISOString(), startBefore },
      },
      4e9,
    );
  for (let n = 0; n < 40; n++) await add(n, '2026-05-06T02:00:00.000Z', '2026-05-05T04:00:00.000Z');
  await add(99, '2026-05-05T03:00:00.000Z', '2026-05-05T03:00:00.000Z');
  const config = { ...runtime.config, projects: Object.fromEntries(['full'].map(aProject)) };
  await tick({ ...runtime, config }, async () => {
    await new Promise(setImmediate);
    throw new XensnapError('QuotaExceeded', 'as many as it may');
  });
  const all = await Array.fromAsync(runs.ofDay('2026-05-05'));
  expect(all.find(({ vmUuid }) => vmUuid === 'vm-99')).toMatchObject({ outcome: 'skipped' });
  expect(all.filter(({ outcome }) => outcome === undefined)).toHaveLength(40);
  await runtime.close();
});

it('leaves a schedule without a next time that another look has disabled meanwhile', async () => {
  const runtime = poolOf(0);
  const { schedules } = runtime.store;
  const { id } = aSchedule(START, {});
  const nextAt = START.toISOString();
  await schedules.create(aSchedule(START, { id, nextAt }));
  const claimed = await schedules.claim(id, 'a look', START, new Date(START.getTime() + 300_000));
  if (!claimed) throw new Error('it was not claimed');
  await schedules.disable(claimed, 'its VM is gone');
  await schedules.release(claimed, { nextAt });
  expect(await schedules.get(id)).not.toHaveProperty('nextAt');
  expect(await schedules.get(id)).not.toHaveProperty('claimedBy');
  expect(await schedules.due(START)).toEqual([]);
  await runtime.close();
});

it('says of a run whose job could not tell its end when that was, not when somebody looked', async () => {
  const now = new Date(START.getTime() + 3 * 3_600_000);
  const runtime = poolOf(0, { now: () => now });
  const { schedules, runs, jobs } = runtime.store;
  const schedule = aSchedule(START, { selector: {}, nextAt: '2026-05-06T02:00:00.000Z' });
  await schedules.create(schedule);
  const run = {
    ...{ scheduleId: schedule.id, nominal: START.toISOString(), backupType: 'daily', pool: 'demo' },
    ...{ vmUuid: 'vm-0', jobId: crypto.randomUUID() },
    ...{ startAfter: START.toISOString(), startBefore: '2026-05-05T03:00:00.000Z' },
  };
  await runs.create(run, 4e9);
  const finishedAt = '2026-05-05T02:20:00.000Z';
  await jobs.create(aJob({ id: run.jobId, status: 'failed', phase: 'PollUpload', finishedAt }));
  await tick(runtime, asking(runtime).request);
  expect(await runs.get(run)).toMatchObject({ outcome: 'failed', finishedAt });
  await runtime.close();
});
