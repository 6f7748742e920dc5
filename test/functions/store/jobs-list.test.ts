import { expect, it } from 'vitest';
import type { Job } from '../../../functions/job.ts';
import type { Jobs } from '../../../functions/store/jobs.ts';
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

it('lists newest first, page by page, by VM, status, openness, or all', async () => {
  const { store } = parts;
  const jobs: Partial<Job>[] = [
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

  const [newest] = (await store.jobs.list('open')).items;
  await store.jobs.finish(newest?.id ?? '', anOutcome);
  expect(await pagesOf('open', 10)).toEqual([['e', 'd', 'c', 'b', 'a']]);
  await store.jobs.settle(newest?.id ?? '');
  expect(await pagesOf('open', 10)).toEqual([['d', 'c', 'b', 'a']]);
  expect(await pagesOf({ status: 'failed' }, 10)).toEqual([['e']]);
  expect(await pagesOf('all', 10)).toEqual([['e', 'd', 'c', 'b', 'a']]);
});

it('lists jobs only, whatever else the table holds', async () => {
  const { jobs, leases, slots, pools } = parts.store;
  const before = (await jobs.list('all')).items.length;
  await leases.takeVm('demo', 'v9', 'job');
  await leases.takeKey('k', 'job', new Date(), 60);
  await slots.take('host#demo/h', 'job', 1);
  await pools.unreachable('demo', 'away', new Date());
  expect((await jobs.list('all')).items).toHaveLength(before);
});
