import { expect, it } from 'vitest';
import { listRestorePoints } from '../../functions/restore-points.ts';
import { memoryRuntime } from './api/memory-runtime.ts';
import { aRawImage } from './api/raw-image.ts';

it('looks at so many images for one answer and no more, and says where it ended', async () => {
  const others = Array.from({ length: 700 }, () => aRawImage({ owner: 'another' }));
  const runtime = memoryRuntime({}, () => {}, [...others, aRawImage()]);
  const first = await listRestorePoints({ vm: 'nobody' }, { limit: 50 }, runtime);
  expect(first).toEqual({ points: [], next: others[499]?.id });
  const page = await listRestorePoints({}, { limit: 100 }, runtime);
  expect([page.points.length, page.next]).toEqual([100, others[99]?.id]);
});
