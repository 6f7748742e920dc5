import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { reconcile } from '../../functions/reconcile.ts';
import { PLUGIN_FILE, scenario } from '../support/scenario.ts';

it('pays its debts to a pool that goes away during cleanup and comes back a minute later', async () => {
  const back = Promise.withResolvers<void>();
  let away = false;
  const { pool, clock, request, job } = await scenario({
    service: {
      async aroundStep(step, _jobId, run) {
        if (step === 'DestroySnapshot' && !away) {
          away = true;
          await pool.setReachable(false);
          void clock
            .sleep(60)
            .then(() => pool.setReachable(true))
            .then(back.resolve);
        }
        return run();
      },
    },
  });
  const done = await job(await request('web-1'));
  await back.promise;
  expect(done).toMatchObject({ status: 'succeeded' });
}, 180_000);

it('has its debts paid by the janitor when the pool stays away until the execution has ended', async () => {
  const { pool, glance, service, request, job } = await scenario({
    speed: 60,
    service: {
      async aroundStep(step, _jobId, run) {
        if (step === 'DestroySnapshot') await pool.setReachable(false);
        return run();
      },
    },
  });
  const id = await request('web-1');
  const told = await job(id, ({ finishedAt }) => finishedAt !== undefined);
  expect(told).toMatchObject({ status: 'succeeded', open: 'open' });
  expect(told.warnings?.[0]).toMatch(/^Not tidied up yet \(snapshot, relock\): /);
  expect(glance.images()).toMatchObject([{ id, status: 'active' }]);
  await pool.setReachable(true);
  await service.janitor();
  expect((await job(id)).debts).toBeUndefined();
}, 180_000);

it('is reconciled once by two reconcilers at once', async () => {
  const stopped = Promise.withResolvers<void>();
  const { pool, glance, service, request, job } = await scenario({
    service: {
      onState(jobId, state) {
        if (state !== 'WaitForUpload') return;
        void service.runtime.executions
          .stop({ machine: 'snapshot', id: jobId }, 'stopped')
          .then(stopped.resolve);
      },
    },
  });
  // The upload is not to be over at the first look.
  glance.faults.add({ method: 'PUT', path: /file$/, hold: stopped.promise });
  const id = await request('web-1');
  await stopped.promise;
  await Promise.all([reconcile(id, service.runtime), reconcile(id, service.runtime)]);
  expect(await job(id)).toMatchObject({ status: 'failed', error: { name: 'Interrupted' } });
  const destroyed = pool.calls.filter(({ method, error }) => method === 'VM.destroy' && !error);
  expect(destroyed).toHaveLength(1);
}, 180_000);

it.each(['VM.destroy', 'VDI.destroy', 'VM.set_xenstore_data', 'Async.VM.snapshot', 'Async.host.call_plugin'])(
  'makes nothing twice when the reply to %s is lost',
  async (method) => {
    const { pool, glance, request, job } = await scenario();
    pool.faults.add({ method, times: 1, drop: 'after' });
    const done = await job(await request('web-1'));
    expect(done).toMatchObject({ status: 'succeeded' });
    expect(pool.calls.filter((call) => call.method === 'Async.VM.snapshot')).toHaveLength(1);
    expect(glance.images()).toHaveLength(1);
  },
  180_000,
);

it('removes the task of a lost upload that ends a moment after the plugin has told of its success', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const [lingering, mayEnd] = [join(folder, 'glance'), join(folder, 'may-end')];
  const linger = `case "$1" in *put_vdis*) until [ -e ${mayEnd} ]; do sleep 0.02; done;; esac`;
  await writeFile(lingering, `#!/bin/sh\n${PLUGIN_FILE} "$1"\nended=$?\n${linger}\nexit $ended\n`, {
    mode: 0o755,
  });
  const { pool, request, job } = await scenario({ pool: { pluginFile: lingering } });
  pool.faults.add({ method: 'Async.host.call_plugin', times: 1, drop: 'after' });
  const over = Promise.withResolvers<void>();
  const end = async () => {
    await writeFile(mayEnd, '');
    while ((await pool.inventory()).plugins > 0) await new Promise(setImmediate);
    over.resolve();
  };
  let looks = 0;
  pool.faults.add({
    method: 'task.get_all_records_where',
    when: ([, filter]) => String(filter).includes('host.call_plugin') && ++looks === 2 && !!end(),
    hold: over.promise,
  });
  expect(await job(await request('web-1'))).toMatchObject({ status: 'succeeded' });
  expect(looks).toBeGreaterThan(1);
}, 180_000);

it('fails with SnapshotLost when the snapshot call never arrives, and makes none later', async () => {
  const { pool, request, job, service } = await scenario({ speed: 30 });
  pool.faults.add({ method: 'Async.VM.snapshot', times: 1, drop: 'before' });
  const id = await request('web-1');
  expect(await job(id, ({ finishedAt }) => finishedAt !== undefined)).toMatchObject({
    status: 'failed',
    error: { name: 'SnapshotLost' },
  });
  await service.settled();
  await service.janitor();
  await job(id);
}, 180_000);

it('cancels a job in the middle of its upload', async () => {
  const { service, glance, request, job, ask } = await scenario();
  const release = Promise.withResolvers<void>();
  glance.faults.add({ method: 'PUT', path: /file$/, afterBytes: 65_536, hold: release.promise });
  const id = await request('web-1');
  await job(id, ({ phase }) => phase === 'PollUpload');
  const { status, body } = await ask('DELETE', `/snapshots/${id}`);
  expect(status).toBe(202);
  expect(body.id).toBe(id);
  expect(await job(id)).toMatchObject({ status: 'cancelled', error: { name: 'JobCancelled' } });
  release.resolve();
  expect(glance.images()).toEqual([]);
  expect((await ask('DELETE', `/snapshots/${id}`)).status).toBe(409);
  await service.settled();
}, 180_000);

it('is cancelled when the owner deletes the image while it uploads', async () => {
  const { service, glance, request, job } = await scenario();
  const release = Promise.withResolvers<void>();
  glance.faults.add({ method: 'PUT', path: /file$/, afterBytes: 65_536, hold: release.promise });
  const id = await request('web-1');
  await job(id, ({ phase }) => phase === 'PollUpload');
  await service.runtime.glance.deleteImage(id);
  release.resolve();
  expect(await job(id)).toMatchObject({ status: 'cancelled', error: { name: 'ImageDeleted' } });
}, 180_000);
