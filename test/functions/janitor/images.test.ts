import { expect, it } from 'vitest';
import { sweepImages } from '../../../functions/janitor/images.ts';
import type { Glance } from '../../../glance/client.ts';
import { GlanceForbidden, GlanceListTooLong, GlanceUnavailable } from '../../../glance/errors.ts';
import type { Image } from '../../../glance/image.ts';
import type { ImageFilter } from '../../../glance/list.ts';
import { memoryRuntime } from '../../scale/memory-runtime.ts';
import { MemoryTable } from '../../scale/memory-table.ts';
import { aJob } from '../api/a-job.ts';

/** A Glance with these records, whose list ends with that error, if any; and the runtime on it. */
function withImages(records: Record<string, string[]>, end?: Error, refuses: readonly string[] = []) {
  const deleted: string[] = [];
  const filters: ImageFilter[] = [];
  const glance = {
    async *listImages(filter: ImageFilter) {
      filters.push(filter);
      const { status = '' } = filter;
      for (const id of records[status] ?? []) yield { id, name: id, status } as Image;
      if (end) throw end;
    },
    async deleteImage(id: string) {
      if (refuses.includes(id)) throw new GlanceForbidden('it is protected');
      deleted.push(id);
    },
  } as unknown as Glance;
  const runtime = memoryRuntime({ now: () => new Date(Date.UTC(2026, 4, 5)) }, new MemoryTable());
  return { runtime: { ...runtime, glance }, deleted, filters };
}

const summary = (findings: Awaited<ReturnType<typeof sweepImages>>) =>
  findings.map(({ id, action }) => `${id} ${action}`);

it('removes the oldest of a list that is too long, and does not call that a failure', async () => {
  const records = { queued: ['a', 'b'], saving: ['c'] };
  const { runtime, deleted, filters } = withImages(records, new GlanceListTooLong('more than 10000'));
  expect(summary(await sweepImages(runtime, false))).toEqual(['a removed', 'b removed', 'c removed']);
  expect(deleted).toEqual(['a', 'b', 'c']);
  expect(new Set(filters.map(({ sort }) => sort))).toEqual(new Set(['created_at:asc']));
});

it('goes on behind an image that Glance does not delete', async () => {
  const { runtime, deleted } = withImages({ queued: ['a', 'b'], saving: ['c'] }, undefined, ['a']);
  const findings = await sweepImages(runtime, false);
  expect(summary(findings)).toEqual(['a failed', 'b removed', 'c removed']);
  expect(findings[0]?.what).toBe('image "a" is queued, and its job is closed: it is protected');
  expect(deleted).toEqual(['b', 'c']);
});

it('tells once of a Glance that does not answer', async () => {
  const { runtime } = withImages({ queued: ['a'] }, new GlanceUnavailable('away'));
  expect(summary(await sweepImages(runtime, true))).toEqual(['a would', 'http://127.0.0.1:9 failed']);
});

it('removes a whole image only where its job is on record, closed, and did not commit it', async () => {
  const jobs = [
    aJob({ id: 'left' }),
    aJob({ id: 'verified', committed: true }),
    aJob({ id: 'at-work', open: 'open' }),
  ];
  const { runtime, deleted, filters } = withImages({ active: [...jobs.map(({ id }) => id), 'unknown'] });
  for (const job of jobs) {
    await runtime.store.jobs.create(job);
    if (job.open === undefined) {
      await runtime.store.jobs.finish(job.id, { status: 'failed', finishedAt: new Date(), ttl: 0 });
      await runtime.store.jobs.settle(job.id);
    }
  }
  expect(summary(await sweepImages(runtime, false))).toEqual(['left removed']);
  expect(deleted).toEqual(['left']);
  expect(filters.at(-1)?.properties).toMatchObject({ xensnap_verified: 'false' });
});
