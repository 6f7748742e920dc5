import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createApi } from '../../../functions/api/app.ts';
import { tick } from '../../../functions/schedules.ts';
import { aJob } from './a-job.ts';
import { type ServedApi, serveApi } from './served-api.ts';

let api: ServedApi;
beforeAll(async () => {
  api = await serveApi({
    pool: { vms: 0 },
    config: { projects: { a: { vmTags: ['team-a'] }, ops: { admin: true } } },
  });
  for (const [name, tags] of [
    ['db-1', ['prod']],
    ['db-2', ['prod', 'team-a']],
    ['forgotten', ['team-a']],
    ['test-1', []],
  ] as const)
    await api.pool.addVm({ name, tags: [...tags] });
});
afterAll(() => api[Symbol.asyncDispose]());
afterEach(async () => {
  for (const { id } of await api.runtime.store.schedules.all()) await api.runtime.store.schedules.remove(id);
  api.glance.faults.clear();
});

const uuidOf = (name: string) => api.pool.vms().find((vm) => vm.record().name_label === name)?.uuid ?? '';
const nightly = { selector: { tag: 'prod' }, daily: { at: '02:00' }, keep: 7 };
const names = (vms: { name: string }[]) => vms.map(({ name }) => name).sort();

/** A verified backup, in Glance and on record. */
async function aBackup(vm: string, hoursAgo: number, fields: object = {}): Promise<string> {
  const id = randomUUID();
  const verifiedAt = new Date(Date.now() - hoursAgo * 3_600_000).toISOString();
  await api.runtime.glance.createImage({
    ...{ id, name: vm, diskFormat: 'vhd', containerFormat: 'ovf', visibility: 'private' },
    properties: { xensnap_installation: 'test', xensnap_job: id },
  });
  await fetch(`${api.glance.url}/v2/images/${id}/file`, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream' },
    body: 'x',
  });
  await api.runtime.store.backups.verified('demo', uuidOf(vm), {
    ...{ imageId: id, type: 'daily', verifiedAt },
    ...fields,
  });
  return id;
}

async function reportFor(project: string) {
  const lambda = { projectId: project, userId: 'u', admin: false, role: 'member' };
  const response = await createApi(api.runtime).request(
    '/reports',
    {},
    {
      event: { requestContext: { authorizer: { lambda } } },
    },
  );
  // biome-ignore lint/suspicious/noExplicitAny: what an answer holds is what the tests assert
  return (await response.json()) as any;
}

it("shows a selector's VMs from the start, and lists those that nothing protects", async () => {
  const before = (await api.ask('GET', '/reports')).body;
  expect(names(before.unprotected)).toEqual(['db-1', 'db-2', 'forgotten', 'test-1']);
  await api.ask('POST', '/schedules', nightly);
  // A backup on demand protects as well, as long as it is not old.
  await aBackup('test-1', 24);
  const { vms, unprotected, summary, gaps } = (await api.ask('GET', '/reports')).body;
  expect(names(vms)).toEqual(['db-1', 'db-2']);
  expect(vms[0]).toMatchObject({ lastBackup: null, overdue: false, ageHours: expect.closeTo(0, 1) });
  expect(unprotected).toMatchObject([{ name: 'forgotten', lastBackup: null, ageHours: null }]);
  expect([summary.ok, summary.unprotected, gaps]).toEqual([true, 1, []]);
});

it("shows a project its own VMs: those of its schedules, and those that nobody's schedule covers", async () => {
  await api.ask('POST', '/schedules', nightly);
  const { vms, unprotected } = await reportFor('a');
  expect([names(vms), names(unprotected)]).toEqual([[], ['forgotten']]);
  expect(names((await reportFor('ops')).vms)).toEqual(['db-1', 'db-2']);
});

it('tells of a backup that is gone by name, and goes back to the one before it', async () => {
  await api.ask('POST', '/schedules', { ...nightly, selector: { namePattern: 'db-1' } });
  const older = await aBackup('db-1', 30);
  const newer = await aBackup('db-1', 6);
  const first = (await api.ask('GET', '/reports')).body;
  expect(first.vms).toMatchObject([{ lastBackup: { imageId: newer }, lost: [] }]);
  await fetch(`${api.glance.url}/v2/images/${newer}`, { method: 'DELETE' });
  const { vms, summary } = (await api.ask('GET', '/reports')).body;
  expect(vms).toMatchObject([
    {
      lastBackup: { imageId: older },
      ageHours: expect.closeTo(30, 1),
      lost: [
        {
          imageId: newer,
          message: expect.stringMatching(
            /no longer in Glance, as far as our account sees \(deleted, or given to others\?/,
          ),
        },
      ],
    },
  ]);
  expect(vms[0].lost[0].message).toContain(`The image ${newer}, verified on `);
  expect(summary).toMatchObject({ ok: false, lost: 1, overdue: 0 });
});

it('says since when nobody has looked where Glance does not answer, and calls nothing gone', async () => {
  await api.ask('POST', '/schedules', { ...nightly, selector: { namePattern: 'db-2' } });
  const id = await aBackup('db-2', 5);
  await fetch(`${api.glance.url}/v2/images/${id}`, { method: 'DELETE' });
  api.glance.faults.add({ method: 'GET', path: /images/, status: 503, times: 99 });
  const { vms, gaps, summary } = (await api.ask('GET', '/reports')).body;
  expect(vms).toMatchObject([{ lastBackup: { imageId: id }, lost: [] }]);
  expect(vms[0].lookedAt).toBe(vms[0].lastBackup.verifiedAt);
  expect(gaps).toMatchObject([{ what: 'backups in Glance', reason: { name: 'GlanceUnavailable' } }]);
  expect(summary.lost).toBe(0);
});

it("keeps a selector's last known VMs while their pool is away, and names the pool", async () => {
  const { id } = (await api.ask('POST', '/schedules', nightly)).body;
  // The look at the schedules has seen them.
  await tick(api.runtime);
  const gone = Object.assign(new Error('nobody answers'), { name: 'XapiUnreachable' });
  const away = createApi({ ...api.runtime, withSession: () => Promise.reject(gone) });
  // biome-ignore lint/suspicious/noExplicitAny: what an answer holds is what the tests assert
  const { vms, gaps, unprotected } = (await (await away.request('/reports')).json()) as any;
  expect(names(vms)).toEqual(['db-1', 'db-2']);
  expect(unprotected).toEqual([]);
  expect(gaps).toMatchObject([{ what: 'the VMs of the pool "demo"', reason: { name: 'PoolUnreachable' } }]);
  // Once the schedule is gone, so are they.
  await api.runtime.store.schedules.remove(id);
  // biome-ignore lint/suspicious/noExplicitAny: what an answer holds is what the tests assert
  expect(((await (await away.request('/reports')).json()) as any).vms).toEqual([]);
});

it('tells of the snapshots on demand of the day, and of what failed', async () => {
  const { store } = api.runtime;
  const day = '2026-05-06';
  const at = (time: string) => `${day}T${time}.000Z`;
  const done = aJob({ id: randomUUID(), createdAt: at('01:00:00') });
  const failed = aJob({ id: randomUUID(), createdAt: at('23:59:59') });
  const ofRun = aJob({
    id: randomUUID(),
    createdAt: at('02:00:00'),
    run: { scheduleId: randomUUID(), nominal: at('02:00:00') },
  });
  const late = aJob({ id: randomUUID(), createdAt: '2026-05-07T00:00:00.000Z' });
  for (const job of [done, failed, ofRun, late]) await store.jobs.create(job);
  const ended = { finishedAt: new Date(), ttl: 4_000_000_000 };
  await store.jobs.finish(done.id, { status: 'succeeded', ...ended });
  const error = { name: 'UploadFailed', message: 'the line was cut' };
  await store.jobs.finish(failed.id, { status: 'failed', error, ...ended });
  const { snapshots, summary } = (await api.ask('GET', `/reports?date=${day}`)).body;
  expect(snapshots).toMatchObject([
    { jobId: failed.id, status: 'failed', reason: error },
    { jobId: done.id, status: 'succeeded', reason: null },
  ]);
  expect(summary).toMatchObject({ ok: false, failed: 1, succeeded: 1 });
});

it('calls a run waiting, not failed, while another job of it is to be asked for', async () => {
  const { store } = api.runtime;
  const nominal = '2026-05-08T02:00:00.000Z';
  const hour = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString();
  const error = { name: 'GlanceUnavailable', message: 'nobody answers' };
  for (const startBefore of [hour(1), hour(-1)]) {
    const scheduleId = randomUUID();
    const job = aJob({ id: randomUUID(), run: { scheduleId, nominal }, phase: 'Requested' });
    await store.jobs.create(job);
    await store.jobs.finish(job.id, { status: 'failed', error, finishedAt: new Date(), ttl: 4_000_000_000 });
    const of = { pool: 'demo', vmUuid: uuidOf('db-1'), vmName: 'db-1', backupType: 'daily', startBefore };
    await store.runs.create({ scheduleId, nominal, ...of, jobId: job.id }, 4_000_000_000);
  }
  const { runs, summary } = (await api.ask('GET', '/reports?date=2026-05-08')).body;
  expect(runs.map(({ state, reason }: { state: string; reason: unknown }) => [state, reason]).sort()).toEqual(
    [
      ['failed', error],
      ['waiting', error],
    ],
  );
  expect(summary.failed).toBe(1);
});

it('knows of a single job whether its image is still there, and keeps it where Glance does not say', async () => {
  const { store } = api.runtime;
  const id = await aBackup('db-1', 1);
  const job = aJob({ id, vmUuid: uuidOf('db-1') });
  await store.jobs.create(job);
  await store.jobs.commit(id, new Date());
  await store.jobs.finish(id, { status: 'succeeded', finishedAt: new Date(), ttl: 4_000_000_000 });
  const imageId = async () => (await api.ask('GET', `/snapshots/${id}`)).body.imageId;
  expect(await imageId()).toBe(id);
  await fetch(`${api.glance.url}/v2/images/${id}`, { method: 'DELETE' });
  api.glance.faults.add({ method: 'GET', path: /images/, status: 503 });
  expect(await imageId()).toBe(id);
  expect(await imageId()).toBeNull();
  const { snapshots } = (await api.ask('GET', '/snapshots')).body;
  expect(snapshots.find((each: { id: string }) => each.id === id).imageId).toBeNull();
});

it('refuses a day that no calendar has, and names the field', async () => {
  const { status, body } = await api.ask('GET', '/reports?date=2026-13-45');
  expect([status, body.error.message]).toEqual([
    400,
    expect.stringContaining('date: must be a day of the calendar such as 2026-11-23'),
  ]);
});

it('tells a project of its own backups alone where others have some of the same VM', async () => {
  const lambda = { projectId: 'a', userId: 'u', admin: false, role: 'member' };
  await createApi(api.runtime).request(
    '/schedules',
    { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(nightly) },
    { event: { requestContext: { authorizer: { lambda } } } },
  );
  const theirs = await aBackup('db-2', 1, { project: 'ops', type: 'before-audit' });
  const nobodys = await aBackup('db-2', 2, { project: null });
  const before = await reportFor('a');
  expect(before.vms).toMatchObject([{ name: 'db-2', lastBackup: null, lost: [] }]);
  const own = await aBackup('db-2', 30, { project: 'a' });
  // A record of an earlier version, which did not note whose it is: the job knows.
  const older = await aBackup('db-2', 60);
  await api.runtime.store.jobs.create(aJob({ id: older, project: 'a' }));
  expect((await reportFor('a')).vms).toMatchObject([{ lastBackup: { imageId: own }, lost: [] }]);
  for (const id of [theirs, own]) await api.runtime.glance.deleteImage(id);
  const report = await reportFor('a');
  expect(report.vms).toMatchObject([{ lastBackup: { imageId: older }, lost: [{ imageId: own }] }]);
  for (const id of [theirs, nobodys]) expect(JSON.stringify(report)).not.toContain(id);
  const all = await reportFor('ops');
  expect(all.vms).toMatchObject([{ lastBackup: { imageId: nobodys }, lost: [{ imageId: theirs }] }]);
});

it('shows a project the tests of its own backups, and a failure only while no later test has proved it', async () => {
  const { backups } = api.runtime.store;
  const uuid = uuidOf('forgotten');
  const at = (hour: number) => `2026-05-05T0${hour}:00:00.000Z`;
  const of = { imageId: randomUUID(), jobId: randomUUID(), project: null };
  await backups.tested('demo', uuid, { failed: { ...of, at: at(2), name: 'ImageDamaged' } });
  const seen = async (project: string) =>
    (await reportFor(project)).unprotected.find(({ name }: { name: string }) => name === 'forgotten');
  expect(await seen('ops')).toMatchObject({ lastProven: null, failedTest: { name: 'ImageDamaged' } });
  expect(await seen('a')).toMatchObject({ lastProven: null, failedTest: null });
  const proven = { ...of, project: 'a', at: at(3), seconds: 7, reached: 'disk' } as const;
  await backups.tested('demo', uuid, { proven });
  // An earlier one that is told late changes nothing.
  await backups.tested('demo', uuid, { proven: { ...proven, at: at(1), reached: 'tools' } });
  expect(await seen('ops')).toMatchObject({ lastProven: { reached: 'disk', seconds: 7 }, failedTest: null });
  expect(await seen('a')).toMatchObject({ lastProven: { reached: 'disk' } });
});
