import { join } from 'node:path';
import { expect, it } from 'vitest';
import { downloadBundle } from '../support/bundle.ts';
import { scenario } from '../support/scenario.ts';
import { readChain } from '../support/vhd-reader.ts';

it.each([
  ['leaves further disks out of the snapshot where the release can', false],
  ['destroys the snapshots of further disks where the release cannot leave them out', true],
])('%s', async (_, quiesce) => {
  const { pool, glance, folder, request, job } = await scenario({
    pool: { vms: 0, keepModels: true, quiesce },
    vms: [{ name: 'db', diskMib: 2, extraDisks: [2, 4] }],
  });
  const done = await job(await request('db'));
  expect(done.error).toBeUndefined();
  expect(done.snapshotDisks).toHaveLength(quiesce ? 3 : 1);
  const { vhds } = await downloadBundle(glance.url, done.id, join(folder, 'bundle'));
  const chain = await readChain(vhds);
  expect(chain.layers[0]?.virtualBytes).toBe(2 * 1024 ** 2);
  expect(await chain.compareWith(pool.modelPath(done.snapshotDisks?.[0] ?? ''))).toBeNull();
});
