import { expect, it } from 'vitest';
import { type Scenario, scenario } from '../support/scenario.ts';

const small = { pool: { vms: 1, diskMib: 2 } };
const LIST = /^\/v2\/images$/;
const ONE = /^\/v2\/images\/[^/]+$/;

it('frees the VM at once where the image record could not even be asked for', async () => {
  const { pool, glance, service, ask } = await scenario(small);
  const vm = pool.vms()[0]?.uuid ?? '';
  const { store } = service.runtime;
  // Nobody listens any more: the connection is refused.
  await glance.close();
  for (const _ of [1, 2]) {
    const { status, body } = await ask('POST', '/snapshots', { vm });
    expect([status, body.error.name]).toEqual([502, 'GlanceUnavailable']);
    expect(await store.leases.holderOfVm('demo', vm)).toBeUndefined();
  }
  expect(await Array.fromAsync(store.jobs.open())).toEqual([]);
  const [job] = (await ask('GET', '/snapshots')).body.snapshots;
  expect(job).toMatchObject({ status: 'failed', owes: [] });
});

it('says what a VM waits for whose failed job still owes an image, and frees it with the next request', async () => {
  const { pool, glance, service, ask, job, request } = await scenario(small);
  const vm = pool.vms()[0]?.uuid ?? '';
  // The record is made, its answer is lost, and then Glance is away for a while.
  glance.faults.add({ method: 'POST', path: LIST, drop: 'after' });
  glance.faults.add({ method: 'DELETE', path: ONE, status: 503, times: 3 });
  const refused = await ask('POST', '/snapshots', { vm });
  expect(refused.body.error.name).toBe('GlanceUnavailable');
  const [failed] = (await ask('GET', '/snapshots')).body.snapshots;
  expect(failed).toMatchObject({ status: 'failed', owes: ['image'] });

  const early = await ask('POST', '/snapshots', { vm });
  expect(early.body.error).toMatchObject({
    name: 'SnapshotInProgress',
    message: expect.stringMatching(
      /^The job \S+ has ended `failed` and has the VM "\S+" until it has tidied up\. It has still to delete its unfinished image\. The last try failed: .*503.*\. The janitor tries again every 15 minutes\.$/,
    ),
    ...{ jobId: failed.id, jobStatus: 'failed', owes: ['image'], nextTryAt: null },
    reason: expect.stringContaining('503'),
  });
  // A round that could not pay it either tells when the next one begins.
  await service.janitor();
  const last = await service.runtime.store.janitorReports.last();
  const next = new Date(Date.parse(last?.startedAt ?? '') + 900_000).toISOString();
  glance.faults.add({ method: 'DELETE', path: ONE, status: 503, times: 2 });
  const late = (await ask('POST', '/snapshots', { vm })).body.error;
  expect(late.message).toContain(`every 15 minutes, next at ${next}.`);
  expect(late.nextTryAt).toBe(next);
  // The job itself says the same.
  const { owing } = (await ask('GET', `/snapshots/${failed.id}`)).body;
  expect(owing).toMatchObject({ holdsVm: true, nextTryAt: next });
  expect(owing.message).toMatch(/^It has still to delete its unfinished image\. .*503.* next at /);

  // One by hand, or one that only looks, does not move the next.
  await service.janitor(true, 'local');
  const after = (await ask('POST', '/snapshots', { vm })).body.error;
  expect(after.nextTryAt).toBeNull();
  expect(after.message).toMatch(/every 15 minutes\.$/);

  glance.faults.clear();
  expect(await job(await request(vm))).toMatchObject({ status: 'succeeded' });
  expect(await job(failed.id)).not.toHaveProperty('owesBecause');
  expect(glance.images().map(({ id }) => id)).not.toContain(failed.id);
});

it('says that a job works while it works', async () => {
  const { pool, glance, ask, request, job } = await scenario(small);
  const vm = pool.vms()[0]?.uuid ?? '';
  const release = Promise.withResolvers<void>();
  glance.faults.add({ method: 'PUT', path: /file$/, hold: release.promise });
  const id = await request(vm);
  const { body } = await ask('POST', '/snapshots', { vm });
  expect(body.error.message).toMatch(/is being imaged by the job/);
  expect(body.error).toMatchObject({ jobId: id });
  release.resolve();
  await job(id);
});

it('says of what the job that has the VM fails, and by when that is tried again', async () => {
  const { pool, ask, request, job } = await scenario({ ...small, speed: 1 });
  const vm = pool.vms()[0]?.uuid ?? '';
  pool.faults.add({
    method: 'VM.add_to_other_config',
    code: 'OTHER_OPERATION_IN_PROGRESS',
    params: [],
    times: 1,
  });
  const id = await request(vm);
  await job(id, ({ retrying }) => retrying !== undefined);
  const { error } = (await ask('POST', '/snapshots', { vm })).body;
  expect(error.message).toMatch(
    /^The VM "\S+" is being imaged by the job \S+\. Its step UnlockVm has failed once and is tried again by \d{4}-.*Z: .*OTHER_OPERATION_IN_PROGRESS/,
  );
  expect(error).toMatchObject({ jobId: id });
  expect(await job(id)).toMatchObject({ status: 'succeeded' });
});

it('says of a job that could not lock its VM again that it has still to, why, and when it is tried', async () => {
  let mend = () => {};
  const all = await scenario({
    ...small,
    speed: 20,
    service: ({ pool, glance: { faults } }) => {
      faults.add({ method: 'PUT', path: /\/file$/, status: 413, times: 9 });
      return {
        onState: (_job, state) => {
          if (state !== 'CancelUpload') return;
          const refused = { method: 'VM.set_xenstore_data', code: 'INTERNAL_ERROR', params: ['no'] };
          mend = pool.faults.add({ ...refused, times: 1e6 });
        },
      };
    },
  });
  const { pool, glance, service, ask, job, request } = all;
  const vm = pool.vms()[0]?.uuid ?? '';
  const failed = await job(await request(vm), ({ finishedAt }) => finishedAt !== undefined);
  expect([...(failed.debts ?? [])]).toEqual(['relock']);
  await service.settled();
  await service.janitor();
  const { error } = (await ask('POST', '/snapshots', { vm })).body;
  expect(error).toMatchObject({ jobId: failed.id, jobStatus: 'failed', owes: ['relock'] });
  expect(error.message).toMatch(
    /has ended `failed` and has the VM "\S+" until it has tidied up\. It has still to lock the VM\. The last try failed: .*INTERNAL_ERROR.* next at \d{4}-.*Z\.$/,
  );
  const { owing } = (await ask('GET', `/snapshots/${failed.id}`)).body;
  expect(owing).toMatchObject({ holdsVm: true, nextTryAt: error.nextTryAt });
  mend();
  glance.faults.clear();
  await service.janitor();
  expect((await ask('GET', `/snapshots/${failed.id}`)).body).toMatchObject({ owes: [], owing: null });
  expect(await job(await request(vm))).toMatchObject({ status: 'succeeded' });
});

it('names the janitor where it has the VM, and no job that there is not', async () => {
  const { pool, service, ask } = await scenario({ ...small, leaves: ['leases: more: "the-janitors-own"'] });
  const vm = pool.vms()[0]?.uuid ?? '';
  await service.runtime.store.leases.takeVm('demo', vm, 'the-janitors-own', new Date(), 960);
  const { status, body } = await ask('POST', '/snapshots', { vm });
  expect(status).toBe(409);
  expect(body.error).toEqual({
    name: 'SnapshotInProgress',
    message: expect.stringContaining('The janitor has the VM'),
  });
});

it('locks the VM again within a minute where Glance is away when the image of a failed job is to go', async () => {
  const entered = new Map<string, number>();
  const all: Scenario = await scenario({
    ...small,
    // Glance keeps the image until it is back.
    leaves: 'unknown',
    service: {
      onState: (_job, state) => void entered.set(state, all.clock.now().getTime()),
    },
  });
  const { pool, glance, request, job, service } = all;
  glance.faults.add({ method: 'PUT', path: /\/file$/, status: 413, times: 9 });
  glance.faults.add({ method: 'DELETE', path: ONE, status: 503, times: 1e6 });
  const failed = await job(
    await request(pool.vms()[0]?.uuid ?? ''),
    ({ finishedAt }) => finishedAt !== undefined,
  );
  expect(failed).toMatchObject({ status: 'failed', error: { name: 'GlanceTooLarge' } });
  const seconds = ((entered.get('RelockVm') ?? 0) - (entered.get('DiscardImage') ?? 0)) / 1000;
  expect(seconds).toBeLessThan(60);
  expect(pool.vms()[0]?.liveXenstore()).toMatchObject({ 'vm-data/allowvssprovider': 'false' });
  glance.faults.clear();
  await service.settled();
  await service.janitor();
  expect((await job(failed.id)).debts).toBeUndefined();
  expect(glance.images()).toEqual([]);
});
