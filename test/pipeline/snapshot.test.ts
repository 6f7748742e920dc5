import { expect, it } from 'vitest';
import { scenario } from '../support/scenario.ts';

it('snapshots a running VM into Glance and leaves nothing behind', async () => {
  const { pool, glance, request, job } = await scenario();
  const [vm] = pool.vms();
  const done = await job(await request(vm?.uuid ?? ''));
  expect(done.error).toBeUndefined();
  expect(done).toMatchObject({ status: 'succeeded', consistency: 'crash-consistent' });
  expect(glance.images()).toMatchObject([{ id: done.id, status: 'active' }]);
});
