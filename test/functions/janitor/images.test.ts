import { expect, it } from 'vitest';
import { sweepImages } from '../../../functions/janitor/images.ts';
import type { Glance } from '../../../glance/client.ts';
import { GlanceForbidden, GlanceListTooLong, GlanceUnavailable } from '../../../glance/errors.ts';
import type { Image } from '../../../glance/image.ts';
import type { ImageFilter } from '../../../glance/list.ts';
import { memoryRuntime } from '../../scale/memory-runtime.ts';
import { MemoryTable } from '../../scale/memory-table.ts';

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
  expect(filters.map(({ sort }) => sort)).toEqual(['created_at:asc', 'created_at:asc']);
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
