import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { createApi } from '../../../functions/api/app.ts';
import { JobView } from '../../../functions/api/view.ts';
import { type ServedApi, serveApi } from './served-api.ts';

let api: ServedApi;
beforeAll(async () => {
  api = await serveApi({ pool: { vms: 6 } });
});
beforeEach(async () => {
  for (const vm of api.pool.vms()) {
    const holder = await api.runtime.store.leases.holderOfVm('demo', vm.uuid);
    if (holder !== undefined) await api.runtime.store.leases.releaseVm('demo', vm.uuid, holder);
  }
  api.started.length = 0;
  api.stopped.length = 0;
});
afterAll(() => api[Symbol.asyncDispose]());

it('answers 202 with the place of the job, whose execution and image have begun', async () => {
  const { status, headers, body } = await api.ask('POST', '/snapshots', { vm: 'web-1', name: 'nightly' });
  expect(status).toBe(202);
  expect(JobView.parse(body)).toMatchObject({ status: 'starting', pool: 'demo', imageName: 'nightly' });
  expect(headers.get('location')).toBe(`/snapshots/${body.id}`);
  expect(api.started).toEqual([body.id]);
  expect(api.glance.images().find(({ id }) => id === body.id)).toMatchObject({
    status: 'queued',
    name: 'nightly',
  });
  expect((await api.ask('GET', `/snapshots/${body.id}`)).body).toEqual(body);
});

it('takes the UUID of a VM as well as its name', async () => {
  const { uuid } = api.pool.vm('db-1');
  expect((await api.ask('POST', '/snapshots', { vm: uuid })).body.vm).toEqual({ uuid, name: 'db-1' });
});

it('answers a repeated Idempotency-Key with the same job, and begins it once', async () => {
  const key = { 'idempotency-key': 'night 1' };
  const first = await api.ask('POST', '/snapshots', { vm: 'web-1' }, key);
  const again = await api.ask('POST', '/snapshots', { vm: 'web-1' }, key);
  expect(again.status).toBe(202);
  expect(again.body.id).toBe(first.body.id);
  expect(again.headers.get('location')).toBe(first.headers.get('location'));
  expect(api.started).toEqual([first.body.id]);
});

it('lets one of many requests at once for a VM through, and names its job to the others', async () => {
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => api.ask('POST', '/snapshots', { vm: 'mail-1' })),
  );
  const [winner, ...more] = answers.filter(({ status }) => status === 202);
  expect(more).toEqual([]);
  for (const { status, body } of answers.filter((answer) => answer !== winner)) {
    expect(status).toBe(409);
    expect(body.error).toMatchObject({ name: 'SnapshotInProgress', jobId: winner?.body.id });
  }
});

it('does not list the requests that found the VM taken', async () => {
  const { body } = await api.ask('POST', '/snapshots', { vm: 'files-1' });
  await api.ask('POST', '/snapshots', { vm: 'files-1' });
  const listed = await api.ask('GET', '/snapshots?vm=files-1');
  expect(listed.body.snapshots.map(({ id }: JobView) => id)).toEqual([body.id]);
});

it('cancels a job, and says why it cannot once the image is verified or the job is over', async () => {
  const { body: job } = await api.ask('POST', '/snapshots', { vm: 'web-1' });
  const cancelled = await api.ask('DELETE', `/snapshots/${job.id}`);
  expect([cancelled.status, cancelled.body.id]).toEqual([202, job.id]);
  expect(api.stopped).toEqual([job.id]);

  const { body: kept } = await api.ask('POST', '/snapshots', { vm: 'db-1' });
  await api.runtime.store.jobs.commit(kept.id, new Date());
  const late = await api.ask('DELETE', `/snapshots/${kept.id}`);
  expect([late.status, late.body.error.name]).toEqual([409, 'JobCommitted']);

  await api.runtime.store.jobs.finish(kept.id, { status: 'succeeded', finishedAt: new Date(), ttl: 2e9 });
  const over = await api.ask('DELETE', `/snapshots/${kept.id}`);
  expect([over.status, over.body.error.name]).toEqual([409, 'JobFinished']);
});

it.each(['nope', '00000000-0000-4000-8000-000000000000', 'x'.repeat(3000)])(
  'knows no job by an id that none has: %#',
  async (id) => {
    for (const method of ['GET', 'DELETE']) {
      const { status, body } = await api.ask(method, `/snapshots/${id}`);
      expect([status, body.error.name]).toEqual([404, 'JobNotFound']);
    }
    expect((await api.ask('GET', `/snapshots/${id}/events`)).status).toBe(404);
  },
);

it('tells the candidates where a name fits several VMs', async () => {
  const spec = { name: 'twin', sr: 'nfs', diskMib: 4 } as const;
  const twins = [await api.pool.addVm(spec), await api.pool.addVm(spec)];
  const { status, body } = await api.ask('POST', '/snapshots', { vm: 'twin' });
  expect([status, body.error.name]).toEqual([409, 'VmNameAmbiguous']);
  expect(body.error.candidates.map(({ uuid }: { uuid: string }) => uuid).sort()).toEqual(
    twins.map(({ uuid }) => uuid).sort(),
  );
});

it.each([
  [{ vm: 'nobody' }, 404, 'VmNotFound'],
  [{ vm: 'web-1', pool: 'elsewhere' }, 404, 'PoolNotFound'],
  [{ vm: 'Debian Bookworm 12' }, 400, 'VmIsTemplate'],
  [{ vm: 'web-1', maxSizeGib: 0.001 }, 413, 'DiskTooLarge'],
  [{ vm: 'web-1', quiesce: 'require' }, 409, 'QuiesceNotSupported'],
  [{ vm: 'web-1', metadata: { Image_Type: 'mine' } }, 400, 'MetadataReserved'],
])('refuses %j before anything is begun', async (wish, status, name) => {
  const images = api.glance.images().length;
  const answer = await api.ask('POST', '/snapshots', wish);
  expect([answer.status, answer.body.error.name]).toEqual([status, name]);
  expect(answer.body.error.message).not.toBe('');
  expect(api.started).toEqual([]);
  expect(api.glance.images()).toHaveLength(images);
});

it('undoes a request whose execution AWS does not start now, and says when to ask again', async () => {
  const { uuid } = api.pool.vm('web-1');
  const start = () => Promise.reject(Object.assign(new Error('slow down'), { name: 'ThrottlingException' }));
  const throttled = createApi({ ...api.runtime, executions: { ...api.runtime.executions, start } });
  const images = api.glance.images().length;
  const response = await throttled.request('/snapshots', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ vm: uuid }),
  });
  expect([response.status, response.headers.get('retry-after')]).toEqual([503, '15']);
  expect(api.glance.images()).toHaveLength(images);
  expect(await api.runtime.store.leases.holderOfVm('demo', uuid)).toBeUndefined();
  const [job] = (await api.runtime.store.jobs.list({ vmKey: `demo#${uuid}` })).items;
  expect(job).toMatchObject({ status: 'failed', error: { name: 'Throttled' } });
  expect(job?.open).toBeUndefined();
});
