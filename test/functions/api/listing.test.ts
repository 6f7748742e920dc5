import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { JobView } from '../../../functions/api/view.ts';
import { aJob } from './a-job.ts';
import { type ServedApi, serveApi } from './served-api.ts';

const vmUuid = randomUUID();
let api: ServedApi;

beforeAll(async () => {
  const pools = ['demo', 'other'].map((name) => ({
    name,
    addresses: ['http://127.0.0.1:9'],
    secretId: 'pool',
  }));
  api = await serveApi({ pool: { vms: 0 }, config: { pools } });
  for (let minute = 10; minute < 35; minute += 1)
    await api.runtime.store.jobs.create(
      aJob({
        createdAt: `2026-01-01T00:${minute}:00.000Z`,
        status: minute % 5 === 0 ? 'failed' : 'succeeded',
        ...(minute % 2 === 0 ? { vmUuid, vmName: 'db-1' } : {}),
        pool: minute % 4 === 0 ? 'other' : 'demo',
      }),
    );
});
afterAll(() => api[Symbol.asyncDispose]());

/** Minutes of all jobs of the query, and how many each page had. */
async function walk(query: string): Promise<{ minutes: number[]; pages: number[] }> {
  const minutes: number[] = [];
  const pages: number[] = [];
  for (let marker = ''; ; ) {
    const { status, body } = await api.ask('GET', `/snapshots?${query}${marker}`);
    expect(status).toBe(200);
    minutes.push(...body.snapshots.map(({ createdAt }: JobView) => Number(createdAt.slice(14, 16))));
    pages.push(body.snapshots.length);
    if (body.next === null) return { minutes, pages };
    marker = `&marker=${body.next}`;
  }
}

const all = Array.from({ length: 25 }, (_, index) => 34 - index);

it('lists jobs newest first', async () => {
  expect(await walk('')).toEqual({ minutes: all, pages: [25] });
});

it('goes on where the page before ended, until next is null', async () => {
  expect(await walk('limit=10')).toEqual({ minutes: all, pages: [10, 10, 5] });
  expect((await walk('limit=5')).minutes).toEqual(all);
});

it.each([
  ['status=failed', (minute: number) => minute % 5 === 0],
  ['pool=other', (minute: number) => minute % 4 === 0],
  ['vm=db-1', (minute: number) => minute % 2 === 0],
  [`vm=${vmUuid}`, (minute: number) => minute % 2 === 0],
  [`vm=${vmUuid.toUpperCase()}&pool=demo`, (minute: number) => minute % 4 === 2],
  [`vm=${vmUuid}&status=failed`, (minute: number) => minute % 10 === 0],
  ['vm=nobody', () => false],
])('lists by %s, whatever the size of a page', async (query, fits) => {
  for (const limit of [100, 3])
    expect((await walk(`${query}&limit=${limit}`)).minutes).toEqual(all.filter(fits));
});
