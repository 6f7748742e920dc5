import { expect, it } from 'vitest';
import type { SnapshotJob } from '../../../functions/job.ts';
import type { Jobs } from '../../../functions/store/jobs.ts';
import { MOST_ON_PAGE, type PageOptions, Table } from '../../../functions/store/table.ts';
import { aJob, aRestore } from '../api/a-job.ts';
import { anOutcome, newJob, storeOfFile } from './a-store.ts';

const parts = storeOfFile();

/** The names of all jobs of a list, page by page. */
async function pagesOf(of: Parameters<Jobs['list']>[0], limit: number): Promise<string[][]> {
  const pages: string[][] = [];
  let after: Record<string, unknown> | undefined;
  do {
    const page = await parts.store.jobs.list(of, { limit, ...(after && { after }) });
    pages.push(page.items.map(({ vmName }) => vmName));
    after = page.next;
  } while (after);
  return pages.filter((page) => page.length > 0);
}

const openOnes = async () =>
  (await parts.store.jobs.openPage()).items.map((job) => 'vmName' in job && job.vmName);

it('lists newest first, page by page, by VM, status, openness, or all', async () => {
  const { store } = parts;
  const jobs: Partial<SnapshotJob>[] = [
    { vmName: 'c', createdAt: '2026-03-01T00:00:00.000Z', vmUuid: 'v1', status: 'queued' },
    { vmName: 'a', createdAt: '2026-01-01T00:00:00.000Z', vmUuid: 'v1', status: 'running' },
    { vmName: 'e', createdAt: '2026-05-01T00:00:00.000Z', vmUuid: 'v2', status: 'queued' },
    { vmName: 'b', createdAt: '2026-02-01T00:00:00.000Z', vmUuid: 'v2', status: 'queued' },
    { vmName: 'd', createdAt: '2026-04-01T00:00:00.000Z', vmUuid: 'v1', status: 'queued', pool: 'other' },
  ];
  for (const job of jobs) await newJob(store, job);
  expect(await pagesOf('all', 2)).toEqual([['e', 'd'], ['c', 'b'], ['a']]);
  expect(await pagesOf({ vmKey: 'demo#v1' }, 5)).toEqual([['c', 'a']]);
  expect(await pagesOf({ vmKey: 'other#v1' }, 5)).toEqual([['d']]);
  expect(await pagesOf({ status: 'queued' }, 3)).toEqual([['e', 'd', 'c'], ['b']]);
  expect(await pagesOf({ status: 'succeeded' }, 3)).toEqual([]);

  const [newest] = (await store.jobs.openPage()).items;
  await store.jobs.finish(newest?.id ?? '', anOutcome);
  expect(await openOnes()).toEqual(['e', 'd', 'c', 'b', 'a']);
  await store.jobs.settle(newest?.id ?? '');
  expect(await openOnes()).toEqual(['d', 'c', 'b', 'a']);
  expect(await pagesOf({ status: 'failed' }, 10)).toEqual([['e']]);
  expect(await pagesOf('all', 10)).toEqual([['e', 'd', 'c', 'b', 'a']]);
});

it('lists the oldest first where asked, and between two times, both included', async () => {
  const { jobs } = parts.store;
  const at = (day: number) => `2025-07-0${day}T00:00:00.000Z`;
  for (const day of [4, 2, 3, 1])
    await newJob(parts.store, { vmName: `day ${day}`, createdAt: at(day), vmUuid: 'ranged' });
  const names = async (options: PageOptions) =>
    (await Array.fromAsync(jobs.each({ vmKey: 'demo#ranged' }, options))).map(({ vmName }) => vmName);
  expect(await names({ order: 'oldestFirst' })).toEqual(['day 1', 'day 2', 'day 3', 'day 4']);
  expect(await names({ from: at(2), to: at(3) })).toEqual(['day 3', 'day 2']);
  expect(await names({ from: at(3) })).toEqual(['day 4', 'day 3']);
  expect(await names({ to: at(2), order: 'oldestFirst' })).toEqual(['day 1', 'day 2']);
  expect(await names({ from: at(3), to: at(2) })).toEqual([]);
});

it('goes through more jobs than a page has', async () => {
  const ids = await Promise.all(
    Array.from({ length: MOST_ON_PAGE + 1 }, () => newJob(parts.store, { vmUuid: 'many' })),
  );
  expect((await parts.store.jobs.list({ vmKey: 'demo#many' })).items).toHaveLength(MOST_ON_PAGE);
  const seen = await Array.fromAsync(parts.store.jobs.each({ vmKey: 'demo#many' }));
  expect(seen.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
});

it('lists jobs only, whatever else the table holds', async () => {
  const { jobs, leases, counters, pools } = parts.store;
  const before = (await jobs.list('all')).items.length;
  await leases.takeVm('demo', 'v9', 'job');
  await leases.takeKey('k', 'job', new Date(), 60);
  await counters.take('host#demo/h', 'job', 1);
  await pools.unreachable('demo', 'away', new Date());
  expect((await jobs.list('all')).items).toHaveLength(before);
});

it('leaves restores out of the lists of snapshots, and has them among what is open', async () => {
  const { jobs } = parts.store;
  const restore = aRestore({ status: 'running', createdAt: '2098-01-01T00:00:00.000Z' });
  await jobs.create(restore);
  expect(await jobs.get(restore.id)).toMatchObject({ machine: 'restore', request: restore.request });
  expect(await jobs.snapshot(restore.id)).toBeUndefined();
  const ids = async (list: AsyncIterable<{ id: string }>) => Array.fromAsync(list, ({ id }) => id);
  expect(await ids(jobs.each('all'))).not.toContain(restore.id);
  expect(await ids(jobs.each({ status: 'running' }))).not.toContain(restore.id);
  expect(await ids(jobs.open())).toContain(restore.id);
  // A page of which nothing is left is not the last: the one after it has snapshots.
  const first = await jobs.list({ status: 'running' }, { limit: 1 });
  expect(first.items).toHaveLength(1);
});

it('takes a job of before there were restores for a snapshot', async () => {
  const { id: _id, machine: _machine, ...fields } = aJob();
  const table = new Table(parts.client, 'xensnap');
  await table.create({ ...fields, id: 'job#of-before', kind: 'job', open: 'open' });
  expect(await parts.store.jobs.get('of-before')).toMatchObject({ id: 'of-before', machine: 'snapshot' });
});
