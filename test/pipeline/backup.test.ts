import { randomUUID } from 'node:crypto';
import { expect, it, vi } from 'vitest';
import { requestSnapshot } from '../../functions/request.ts';
import { Jobs } from '../../functions/store/jobs.ts';
import { type Scenario, scenario } from '../support/scenario.ts';

const daily = { backup: { type: 'daily', keep: 2 }, force: true };

/** The ids of the images that are there, oldest first. */
const imageIds = ({ glance }: Scenario) => glance.images().map(({ id }) => id);

it('replaces the oldest backup of its type once the new one is verified, and touches nothing else', async () => {
  const all = await scenario({ pool: { vms: 2, diskMib: 2 } });
  const { pool, request, job, service, glance } = all;
  const [vm, other] = pool.vms().map(({ uuid }) => uuid);
  const made: string[] = [];
  const run = async (of = vm, wish: object = daily) => {
    const id = await request(of ?? '', wish);
    made.push(id);
    const { status, warnings } = await job(id);
    expect({ status, warnings }).toEqual({ status: 'succeeded', warnings: undefined });
    return id;
  };
  const first = await run();
  const snapshot = await run(vm, { force: true });
  const weekly = await run(vm, { ...daily, backup: { type: 'weekly', keep: 1 } });
  const ofOther = await run(other);
  const second = await run();
  const third = await run();
  expect(new Set(imageIds(all))).toEqual(new Set([snapshot, weekly, ofOther, second, third]));
  expect(made).toContain(first);
  const image = await service.runtime.glance.getImage(third);
  expect(image?.properties).toMatchObject({
    image_type: 'backup',
    backup_type: 'daily',
    instance_uuid: vm,
    xensnap_verified: 'true',
  });
  expect(glance.images().every(({ status }) => status === 'active')).toBe(true);
}, 120_000);

it('leaves none of the type, not even the new one, where none is to be kept', async () => {
  const all = await scenario({ pool: { vms: 1, diskMib: 2 } });
  const vm = all.pool.vms()[0]?.uuid ?? '';
  await all.job(await all.request(vm, daily));
  const id = await all.request(vm, { ...daily, backup: { type: 'daily', keep: 0 } });
  expect(await all.job(id)).toMatchObject({ status: 'succeeded' });
  expect(imageIds(all)).toEqual([]);
  expect((await all.ask('GET', `/snapshots/${id}`)).body).toMatchObject({
    status: 'succeeded',
    imageId: null,
  });
}, 60_000);

it('keeps every good backup when the new one fails', async () => {
  const all = await scenario({ pool: { vms: 1, diskMib: 2 } });
  const { pool, request, job, glance } = all;
  const vm = pool.vms()[0]?.uuid ?? '';
  const good = await request(vm, { ...daily, backup: { type: 'daily', keep: 1 } });
  await job(good);
  glance.faults.add({ method: 'PUT', path: /file$/, status: 413 });
  const bad = await request(vm, { ...daily, backup: { type: 'daily', keep: 1 } });
  expect(await job(bad)).toMatchObject({ status: 'failed' });
  expect(imageIds(all)).toEqual([good]);
}, 60_000);

it('deletes nothing when the list fails, says so, and does it with the next backup', async () => {
  const all = await scenario({ pool: { vms: 1, diskMib: 2 } });
  const { pool, request, job, glance } = all;
  const vm = pool.vms()[0]?.uuid ?? '';
  const one = { ...daily, backup: { type: 'daily', keep: 1 } };
  const first = await request(vm, one);
  await job(first);
  // It lasts as long as the step tries.
  glance.faults.add({ method: 'GET', path: /^\/v2\/images$/, status: 503, times: 6 });
  const second = await request(vm, one);
  expect(await job(second)).toMatchObject({
    status: 'succeeded',
    warnings: [
      expect.stringMatching(/^Older backups were not deleted: .*[.!?…] The next one tries again\.$/),
    ],
  });
  expect(new Set(imageIds(all))).toEqual(new Set([first, second]));
  glance.faults.clear();
  const third = await request(vm, one);
  await job(third);
  expect(imageIds(all)).toEqual([third]);
}, 120_000);

it('warns of a backup that it could not delete, and tries again the next time', async () => {
  const all = await scenario({ pool: { vms: 1, diskMib: 2 } });
  const { pool, request, job, glance } = all;
  const vm = pool.vms()[0]?.uuid ?? '';
  const one = { ...daily, backup: { type: 'daily', keep: 1 } };
  const first = await request(vm, one);
  await job(first);
  glance.faults.add({ method: 'DELETE', path: new RegExp(first), status: 409 });
  const second = await request(vm, one);
  expect(await job(second)).toMatchObject({
    status: 'succeeded',
    warnings: [expect.stringContaining(`The older backup ${first} was not deleted`)],
  });
  const third = await request(vm, one);
  await job(third);
  expect(imageIds(all)).toEqual([third]);
}, 120_000);

it('calls no backup lost that a rotation has deleted, also where the rotation was broken off and tried again', async () => {
  const all = await scenario({ pool: { vms: 1, diskMib: 2 } });
  const { pool, request, job, service } = all;
  const vm = pool.vms()[0]?.uuid ?? '';
  const one = { ...daily, backup: { type: 'daily', keep: 1 } };
  const first = await request(vm, one);
  await job(first);
  const failure = Object.assign(new Error('planted'), { name: 'InternalServerError' });
  const forget = vi.spyOn(service.runtime.store.backups, 'forget').mockRejectedValueOnce(failure);
  const second = await request(vm, one);
  expect(await job(second)).toMatchObject({ status: 'succeeded' });
  expect(forget).toHaveBeenCalledTimes(2);
  expect(imageIds(all)).toEqual([second]);
  const { findings } = await service.janitor();
  expect(findings).toEqual([]);
  const { backups } = await service.runtime.store.backups.of('demo', vm);
  expect(backups.map(({ imageId }) => imageId)).toEqual([second]);
}, 120_000);

it.each([1, 0])(
  'says of each image that it has deleted that it is gone, where the table or an answer failed then; keep: %i',
  async (keep) => {
    const all = await scenario({ pool: { vms: 1, diskMib: 2 } });
    const { pool, glance, request, job } = all;
    const vm = pool.vms()[0]?.uuid ?? '';
    const first = await request(vm, daily);
    await job(first);
    const failure = Object.assign(new Error('planted'), { name: 'InternalServerError' });
    vi.spyOn(Jobs.prototype, 'noteImage').mockRejectedValueOnce(failure);
    glance.faults.add({ method: 'DELETE', path: /images/, times: 1, drop: 'after' });
    const second = await request(vm, { ...daily, backup: { type: 'daily', keep } });
    const done = await job(second);
    expect([done.status, done.warnings?.filter((warning) => /deleted/.test(warning)) ?? []]).toEqual([
      'succeeded',
      [],
    ]);
    vi.restoreAllMocks();
    const there = keep === 1 ? [second] : [];
    expect(imageIds(all)).toEqual(there);
    for (const id of [first, second])
      expect([id, (await job(id)).imageGoneAt === undefined]).toEqual([id, there.includes(id)]);
  },
  120_000,
);

it('succeeds with a warning when the rotation itself breaks', async () => {
  const all = await scenario({
    pool: { vms: 1, diskMib: 2 },
    service: {
      aroundStep: (step, _jobId, run) =>
        step === 'RotateBackups' ? Promise.reject(new Error('broken')) : run(),
    },
  });
  const id = await all.request(all.pool.vms()[0]?.uuid ?? '', daily);
  expect(await all.job(id)).toMatchObject({
    status: 'succeeded',
    warnings: [expect.stringContaining('Older backups were not deleted')],
  });
}, 60_000);

/** A request as a schedule makes it, to begin within so many seconds from now. */
async function scheduled({ pool, service, clock }: Scenario, from: number, to: number, jobId = randomUUID()) {
  const at = (seconds: number) => new Date(clock.now().getTime() + seconds * 1000);
  const { job } = await requestSnapshot(
    {
      vm: pool.vms()[0]?.uuid ?? '',
      backup: { type: 'daily', keep: 1 },
      force: true,
      jobId,
      scheduled: {
        scheduleId: 'nightly',
        nominal: clock.now().toISOString(),
        startAfter: at(from),
        startBefore: at(to),
      },
    },
    service.runtime,
  );
  return job.id;
}

it('lets a scheduled backup wait for its place in the window, and a manual snapshot go first', async () => {
  const all = await scenario({ pool: { vms: 1, diskMib: 2 } });
  const id = await scheduled(all, 60, 3600);
  const manual = await all.request(all.pool.vms()[0]?.uuid ?? '', { force: true });
  expect(await all.job(manual)).toMatchObject({ status: 'succeeded' });
  const done = await all.job(id);
  expect(done).toMatchObject({ status: 'succeeded', run: { scheduleId: 'nightly' } });
  expect(Date.parse(done.snapshotSentAt ?? '')).toBeGreaterThanOrEqual(Date.parse(done.startAfter ?? ''));
  const image = await all.service.runtime.glance.getImage(id);
  expect(image?.properties).toMatchObject({ xensnap_schedule: 'nightly' });
}, 60_000);

it('skips a scheduled backup whose VM is busy for its whole window, and says why', async () => {
  const all = await scenario({ pool: { vms: 1, diskMib: 2 } });
  const release = Promise.withResolvers<void>();
  all.glance.faults.add({ method: 'PUT', path: /file$/, hold: release.promise });
  const manual = await all.request(all.pool.vms()[0]?.uuid ?? '', { force: true });
  const id = await scheduled(all, 0, 5);
  expect(await all.job(id)).toMatchObject({
    status: 'skipped',
    error: { name: 'VmBusy', message: expect.stringContaining(manual) },
  });
  release.resolve();
  expect(await all.job(manual)).toMatchObject({ status: 'succeeded' });
  expect(imageIds(all)).toEqual([manual]);
}, 60_000);

it('makes one job of a scheduled request that comes twice', async () => {
  const all = await scenario({ pool: { vms: 1, diskMib: 2 } });
  const jobId = randomUUID();
  await Promise.all([scheduled(all, 0, 60, jobId), scheduled(all, 0, 60, jobId)]);
  expect(await all.job(jobId)).toMatchObject({ status: 'succeeded' });
  expect(await scheduled(all, 0, 60, jobId)).toBe(jobId);
  expect(imageIds(all)).toEqual([jobId]);
}, 60_000);
