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

it('replaces the backups of the same disk alone, where two of a VM are backed up with one type', async () => {
  const { glance, request, job, ask } = await scenario({
    pool: { vms: 0 },
    vms: [{ name: 'db', diskMib: 2, extraDisks: [2] }],
  });
  const backup = async (device: string) => {
    const id = await request('db', { device, force: true, backup: { type: 'daily', keep: 1 } });
    expect(await job(id)).toMatchObject({ status: 'succeeded' });
    return id;
  };
  const [system, data] = [await backup('0'), await backup('1')];
  const ids = () =>
    glance
      .images()
      .map(({ id }) => id)
      .toSorted();
  expect(ids()).toEqual([system, data].toSorted());
  const newer = await backup('0');
  expect(ids()).toEqual([newer, data].toSorted());
  const daily = { vm: 'db', daily: { at: '02:00' }, keep: 1 };
  for (const [device, image, other] of [
    ['0', newer, data],
    ['1', data, newer],
  ]) {
    const { body } = await ask('POST', '/schedules', { ...daily, device });
    const retention = await ask('GET', `/schedules/${body.id}/retention`);
    const actions = Object.fromEntries(
      retention.body.vms[0].images.map(({ id, action }: { id: string; action: string }) => [id, action]),
    );
    expect(actions).toEqual({ [image ?? '']: 'keep', [other ?? '']: 'ignore' });
    await ask('DELETE', `/schedules/${body.id}`);
  }
});
