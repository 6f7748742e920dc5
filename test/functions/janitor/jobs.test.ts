import { expect, it, vi } from 'vitest';
import type { ExecutionOf } from '../../../functions/executions.ts';
import { settleJobs } from '../../../functions/janitor/jobs.ts';
import { tidy } from '../../../functions/janitor.ts';
import type { SnapshotJob } from '../../../functions/job.ts';
import type { Runtime } from '../../../functions/runtime/executions.ts';
import { memoryRuntime } from '../../scale/memory-runtime.ts';
import { MemoryTable } from '../../scale/memory-table.ts';
import { aJob } from '../api/a-job.ts';

const NOW = new Date(Date.UTC(2026, 4, 5));
const ENDED = { phase: 'ReleaseHost', finishedAt: NOW.toISOString(), status: 'failed' } as const;

/** A runtime with these jobs on record; whatever is looked up of an execution is as said. */
async function withJobs(jobs: readonly SnapshotJob[], executions: Partial<Runtime['executions']> = {}) {
  const runtime = memoryRuntime({ now: () => NOW }, new MemoryTable());
  for (const job of jobs) await runtime.store.jobs.create(job);
  return {
    ...runtime,
    executions: {
      ...runtime.executions,
      describe: async () => undefined,
      running: async function* () {},
      ...executions,
    },
  };
}

const settleOpen = async (runtime: Awaited<ReturnType<typeof withJobs>>, dryRun: boolean) =>
  settleJobs(runtime, await Array.fromAsync(runtime.store.jobs.open()), dryRun);

const summary = (findings: Awaited<ReturnType<typeof settleJobs>>) =>
  findings.map(({ id, action }) => `${id} ${action}`).toSorted();

it('settles what has ended, and a job that was never started once its request has surely given up', async () => {
  const ended = aJob({ ...ENDED, createdAt: NOW.toISOString() });
  const before = new Date(NOW.getTime() - 3600_000).toISOString();
  const stranded = aJob({ status: 'starting', phase: 'Requested', createdAt: before });
  const fresh = aJob({ status: 'starting', phase: 'Requested', createdAt: NOW.toISOString() });
  const runtime = await withJobs([ended, stranded, fresh]);
  const expected = [ended, stranded].map(({ id }) => id);
  expect(summary(await settleOpen(runtime, true))).toEqual(expected.map((id) => `${id} would`).toSorted());
  expect(summary(await settleOpen(runtime, false))).toEqual(expected.map((id) => `${id} removed`).toSorted());
  expect(await runtime.store.jobs.get(stranded.id)).toMatchObject({
    status: 'failed',
    error: { name: 'Interrupted', message: 'The job was never started.' },
  });
  expect((await runtime.store.jobs.get(fresh.id))?.open).toBe('open');
});

it.each([true, false])(
  'says nothing of a job that came to its end since it was listed; dry: %s',
  async (dryRun) => {
    const job = aJob(ENDED);
    const runtime = await withJobs([job]);
    const listed = await runtime.store.jobs.get(job.id);
    vi.spyOn(runtime.store.jobs, 'open').mockImplementation(async function* () {
      if (listed) yield listed;
    });
    await runtime.store.jobs.settle(job.id);
    expect(await settleOpen(runtime, dryRun)).toEqual([]);
  },
);

it('goes on with the others where one job cannot be looked at, and names it', async () => {
  const [bad, good] = [aJob(ENDED), aJob(ENDED)];
  const describe = async ({ id }: ExecutionOf) => {
    if (id === bad.id) throw new Error('no answer');
    return undefined;
  };
  const runtime = await withJobs([bad, good], { describe });
  for (const dryRun of [true, false]) {
    const done = dryRun ? 'would' : 'removed';
    const findings = await settleOpen(runtime, dryRun);
    expect(summary(findings)).toEqual([`${bad.id} failed`, `${good.id} ${done}`].toSorted());
    expect(findings.find(({ id }) => id === bad.id)?.what).toContain('no answer');
  }
});

it('makes its round although one look of it fails, and names that look', async () => {
  const job = aJob(ENDED);
  const runtime = await withJobs([job], {
    // biome-ignore lint/correctness/useYield: it fails before it has anything
    async *running() {
      throw new Error('not listed');
    },
  });
  const { findings } = await tidy(runtime);
  expect(findings).toContainEqual({
    kind: 'execution',
    id: 'running',
    what: expect.any(String),
    action: 'failed',
  });
  expect(findings).toContainEqual(expect.objectContaining({ kind: 'job', id: job.id, action: 'removed' }));
  expect(findings).toContainEqual(expect.objectContaining({ kind: 'pool', id: 'demo', action: 'failed' }));
});

it('asks about no execution that is listed as running: of twenty thousand AWS would tell in half an hour', async () => {
  const jobs = Array.from({ length: 50 }, () => aJob());
  const [ended, ...running] = jobs;
  const described: string[] = [];
  const looked = vi.fn();
  const runtime = await withJobs(jobs, {
    async *running() {
      for (const { id } of running) yield { machine: 'snapshot' as const, id };
    },
    describe: async ({ id }) => {
      described.push(id);
      return undefined;
    },
  });
  vi.spyOn(runtime.store.jobs, 'get').mockImplementation((id) => {
    looked(id);
    return Object.getPrototypeOf(runtime.store.jobs).get.call(runtime.store.jobs, id);
  });
  await tidy(runtime);
  expect(new Set(described)).toEqual(new Set([ended?.id]));
  for (const { id } of running) expect(looked).not.toHaveBeenCalledWith(id);
});

it('goes on, where its time was over, with those that it had not come to, and does the pools in any case', async () => {
  const jobs = Array.from({ length: 40 }, (_, n) =>
    aJob({ ...ENDED, createdAt: new Date(NOW.getTime() - n * 1000).toISOString() }),
  );
  let now = NOW.getTime();
  const described: string[] = [];
  const executions = {
    describe: async ({ id }: ExecutionOf) => {
      described.push(id);
      now += 30_000;
      throw new Error('no answer');
    },
  };
  const runtime = { ...(await withJobs(jobs, executions)), clock: { now: () => new Date(now) } };
  const { findings } = await tidy(runtime);
  const first = new Set(described);
  expect(first.size).toBeLessThan(20);
  expect(findings).toContainEqual(expect.objectContaining({ kind: 'pool', id: 'demo' }));
  for (let round = 0; round < 4; round++) await tidy(runtime);
  expect(new Set(described.slice(first.size, 2 * first.size)).intersection(first)).toEqual(new Set());
  expect(new Set(described).size).toBe(jobs.length);
});

it('comes to every pool, though those that it begins with hang and take the time of a round', async () => {
  const pools = Array.from({ length: 20 }, (_, n) => `pool-${n + 10}`);
  const jobs = pools.flatMap((pool) => Array.from({ length: 6 }, () => aJob({ ...ENDED, pool })));
  let now = NOW.getTime();
  const described = new Set<string>();
  const executions = {
    describe: async ({ id }: ExecutionOf) => {
      described.add(id);
      now += 30_000;
      throw new Error('no answer');
    },
  };
  const runtime = { ...(await withJobs(jobs, executions)), clock: { now: () => new Date(now) } };
  for (let round = 0; round < 4; round++) await settleOpen(runtime, false);
  expect(pools.filter((pool) => !jobs.some((job) => job.pool === pool && described.has(job.id)))).toEqual([]);
});

it('ends its round in time though pools hang, names those that it has not come to, and begins with others then', async () => {
  let now = NOW.getTime();
  const runtime = { ...(await withJobs([])), clock: { now: () => new Date(now) } };
  const [demo] = runtime.config.pools;
  const names = Array.from({ length: 20 }, (_, n) => `pool-${n + 10}`);
  const config = { ...runtime.config, pools: names.map((name) => ({ ...demo, name })) as never };
  const asked = new Set<string>();
  const withSession = async (name: string, _use: unknown, { seconds = 900 } = {}) => {
    if (seconds > 300) throw new Error('a slot of no job');
    asked.add(name);
    // They hang side by side.
    const begun = now;
    await Promise.resolve();
    now = Math.max(now, begun + seconds * 1000);
    throw new Error('no answer');
  };
  for (let round = 0; round < 3; round++) {
    const begun = now;
    const { findings } = await tidy({ ...runtime, config, withSession });
    expect(now - begun).toBeLessThan(900_000);
    const unlooked = findings.filter(({ what }) => what.startsWith('not looked through'));
    expect(unlooked.length).toBe(12);
    expect(unlooked[0]).toMatchObject({ kind: 'pool', action: 'failed' });
    now = begun + 900_000;
  }
  expect(asked.size).toBe(names.length);
});

it('stops an execution that has no job, and none that has one; one that cannot be stopped stops no other', async () => {
  const job = aJob();
  const stopped: string[] = [];
  const runtime = await withJobs([job], {
    async *running() {
      for (const id of ['refused', job.id, 'stray']) yield { machine: 'snapshot' as const, id };
    },
    describe: async () => ({ status: 'RUNNING' }),
    stop: async ({ id }) => {
      if (id === 'refused') throw new Error('not now');
      stopped.push(id);
    },
  });
  const found = async (dryRun: boolean) =>
    (await tidy(runtime, { dryRun })).findings
      .filter(({ kind }) => kind === 'execution')
      .map(({ id, action }) => `${id} ${action}`);
  expect(await found(true)).toEqual(['refused would', 'stray would']);
  expect(stopped).toEqual([]);
  expect(await found(false)).toEqual(['refused failed', 'stray removed']);
  expect(stopped).toEqual(['stray']);
});
