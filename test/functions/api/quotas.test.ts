import { randomUUID } from 'node:crypto';
import { beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { createApi } from '../../../functions/api/app.ts';
import { cancelJob } from '../../../functions/cancel.ts';
import { parseConfig } from '../../../functions/config.ts';
import { tidy } from '../../../functions/janitor.ts';
import { quotaOf } from '../../../functions/quota.ts';
import { reconcile } from '../../../functions/reconcile.ts';
import type { Runtime } from '../../../functions/runtime/executions.ts';
import { tick } from '../../../functions/schedules.ts';
import { memoryRuntime, recordsOfPool } from './memory-runtime.ts';

let records: Awaited<ReturnType<typeof recordsOfPool>>;
beforeAll(async () => {
  records = await recordsOfPool(['a-1', 'a-2', 'a-3', 'b-1'].map((name) => ({ name, powerState: 'Halted' })));
});

let runtime: Runtime;
let now = new Date('2026-11-28T12:00:00Z');
beforeEach(() => {
  now = new Date('2026-11-28T12:00:00Z');
  runtime = runtimeWith({});
});

function runtimeWith(limits: object): Runtime {
  return {
    ...memoryRuntime(records, () => {}),
    clock: { now: () => now },
    config: parseConfig(
      JSON.stringify({
        installation: 'test',
        pools: [{ name: 'demo', addresses: ['http://127.0.0.1:9'], secretId: 'pool' }],
        glance: { url: 'http://127.0.0.1:9' },
        projects: {
          a: { vmNamePatterns: ['a-*'], maxSchedules: 2, maxOpenJobs: 2 },
          b: { vmNamePatterns: ['b-*'] },
        },
        ...limits,
      }),
    ),
  };
}

async function ask(project: string | undefined, method: string, path: string, body?: object) {
  const authorizer =
    project === undefined
      ? { iam: { userArn: 'arn' } }
      : { lambda: { projectId: project, userId: 'u', admin: false, role: 'member' } };
  const response = await createApi(runtime).request(
    path,
    {
      method,
      headers: { 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    },
    { event: { requestContext: { authorizer } } },
  );
  const text = await response.text();
  // biome-ignore lint/suspicious/noExplicitAny: what an answer holds is what the tests assert
  return { status: response.status, body: (text === '' ? undefined : JSON.parse(text)) as any };
}

/** Ends a job and pays what it owes. */
async function cancel(jobId: string): Promise<void> {
  const job = await runtime.store.jobs.get(jobId);
  if (job) await cancelJob(job, runtime);
  expect(await reconcile(jobId, runtime, { alone: true })).toEqual({ state: 'settled' });
}

const schedule = (fields: object = {}) => ({
  selector: { namePattern: '*' },
  daily: { at: '12:01' },
  keep: 1,
  ...fields,
});

it('lets a project have as many schedules as it may, and another none the less', async () => {
  const first = await ask('a', 'POST', '/schedules', schedule());
  expect([first.status, (await ask('a', 'POST', '/schedules', schedule())).status]).toEqual([201, 201]);
  const third = await ask('a', 'POST', '/schedules', schedule());
  expect([third.status, third.body.error.name]).toEqual([403, 'QuotaExceeded']);
  expect(third.body.error.message).toMatch(/may have 2 schedules at a time.*maxSchedules/);
  // What is there may be changed; what is removed makes room; a wish that is refused takes none.
  expect((await ask('a', 'PUT', `/schedules/${first.body.id}`, schedule({ keep: 2 }))).status).toBe(200);
  expect((await ask('a', 'DELETE', `/schedules/${first.body.id}`)).status).toBe(204);
  expect((await ask('a', 'POST', '/schedules', schedule({ timeZone: 'Moon/Base' }))).status).toBe(400);
  expect((await ask('a', 'POST', '/schedules', schedule())).status).toBe(201);
  expect((await ask('b', 'POST', '/schedules', schedule())).status).toBe(201);
});

it('gives the last place to one of many requests at once', async () => {
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => ask('a', 'POST', '/schedules', schedule())),
  );
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(2);
  expect(answers.filter(({ status }) => status === 403)).toHaveLength(18);
});

it('refuses a job too many in the words of each API, and takes one again when another is over', async () => {
  const [one, two] = ['a-1', 'a-2'];
  const first = await ask('a', 'POST', '/snapshots', { vm: one });
  expect((await ask('a', 'POST', '/snapshots', { vm: two })).status).toBe(202);
  const native = await ask('a', 'POST', '/snapshots', { vm: 'a-3' });
  expect([native.status, native.body.error.name]).toEqual([403, 'QuotaExceeded']);
  const { uuid } = (await ask('a', 'GET', '/vms')).body.vms.find(
    ({ name }: { name: string }) => name === 'a-3',
  );
  const nova = await ask('a', 'POST', `/v2.1/servers/${uuid}/action`, { createImage: { name: 'i' } });
  expect([nova.status, nova.body.forbidden.message]).toEqual([403, native.body.error.message]);
  const rackspace = await ask('a', 'POST', '/v1.0/images', { image: { serverId: uuid, name: 'i' } });
  expect([rackspace.status, rackspace.body.overLimit.message]).toEqual([413, native.body.error.message]);
  expect((await ask('b', 'POST', '/snapshots', { vm: 'b-1' })).status).toBe(202);

  await cancel(first.body.id);
  expect((await ask('a', 'POST', '/snapshots', { vm: 'a-3' })).status).toBe(202);
});

it('takes nothing for a request that comes to nothing', async () => {
  for (let n = 0; n < 5; n++)
    expect((await ask('a', 'POST', '/snapshots', { vm: 'nobody' })).status).toBe(404);
  expect((await ask('a', 'POST', '/snapshots', { vm: 'a-1' })).status).toBe(202);
  // Its VM is taken: the job is refused after it was put on record.
  for (let n = 0; n < 5; n++) expect((await ask('a', 'POST', '/snapshots', { vm: 'a-1' })).status).toBe(409);
  expect((await ask('a', 'POST', '/snapshots', { vm: 'a-2' })).status).toBe(202);
});

it('begins the runs of a schedule as the project’s jobs end, and fails those for which that is too late', async () => {
  expect((await ask('a', 'POST', '/schedules', schedule())).status).toBe(201);
  now = new Date('2026-11-28T12:01:30Z');
  await tick(runtime);
  const open = async () => {
    const found = [];
    for await (const job of runtime.store.jobs.open()) found.push(job.id);
    return found;
  };
  expect(await open()).toHaveLength(2);
  // Hours after its window, since it waits for nothing but the project's other jobs.
  now = new Date('2026-11-28T18:00:00Z');
  await tick(runtime);
  const [first = ''] = await open();
  await cancel(first);
  await tick(runtime);
  expect(await open()).toHaveLength(2);
  expect(await open()).not.toContain(first);

  now = new Date('2026-11-29T12:01:30Z');
  await tick(runtime);
  now = new Date('2026-11-30T00:02:00Z');
  await tick(runtime);
  const reasons = [];
  for await (const { outcome, reason } of runtime.store.runs.ofDay('2026-11-29'))
    reasons.push([outcome, reason?.name]);
  expect(reasons).toContainEqual(['failed', 'QuotaExceeded']);
});

it('has a bound for callers without a project too', async () => {
  runtime = runtimeWith({ maxSchedules: 2, maxOpenJobs: 1 });
  for (const status of [201, 201, 403]) {
    const answer = await ask(undefined, 'POST', '/schedules', schedule());
    expect(answer.status).toBe(status);
    if (status === 403) expect(answer.body.error.message).toMatch(/This installation may have 2 schedules/);
  }
  for (const [vm, status] of [
    ['a-1', 202],
    ['b-1', 403],
  ] as const)
    expect((await ask(undefined, 'POST', '/snapshots', { vm })).status).toBe(status);
  // Counted anew after a minute.
  const [schedules] = [await runtime.store.schedules.all()];
  await ask(undefined, 'DELETE', `/schedules/${schedules[0]?.id}`);
  now = new Date(now.getTime() + 61_000);
  expect((await ask(undefined, 'POST', '/schedules', schedule())).status).toBe(201);
});

it('gives the last place of all callers to one of many requests at once', async () => {
  runtime = runtimeWith({ maxSchedules: 2, maxOpenJobs: 1 });
  for (const project of [undefined, 'b']) {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => ask(project, 'POST', '/schedules', schedule())),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(project === undefined ? 2 : 0);
  }
  const asked = ['a-1', 'a-2', 'a-3', 'b-1'].map((vm) => ask(undefined, 'POST', '/snapshots', { vm }));
  expect((await Promise.all(asked)).map(({ status }) => status).sort()).toEqual([202, 403, 403, 403]);
});

it('counts nothing against all callers that came to nothing', async () => {
  runtime = runtimeWith({ maxSchedules: 2, maxOpenJobs: 4 });
  expect((await ask('a', 'POST', '/snapshots', { vm: 'a-1' })).status).toBe(202);
  for (let n = 0; n < 3; n++) {
    expect((await ask('a', 'POST', '/schedules', schedule({ timeZone: 'Moon/Base' }))).status).toBe(400);
    expect((await ask('a', 'POST', '/snapshots', { vm: 'nobody' })).status).toBe(404);
    expect((await ask('a', 'POST', '/snapshots', { vm: 'a-1' })).status).toBe(409);
  }
  expect((await ask('a', 'POST', '/snapshots', { vm: 'a-2' })).status).toBe(202);
  for (let n = 0; n < 3; n++) expect((await ask('a', 'POST', '/snapshots', { vm: 'a-3' })).status).toBe(403);
  expect((await ask('b', 'POST', '/snapshots', { vm: 'b-1' })).status).toBe(202);
  expect((await ask('b', 'POST', '/schedules', schedule())).status).toBe(201);
});

it('counts again at the next request where the table did not answer', async () => {
  const { jobs } = runtime.store;
  const countOpen = vi.spyOn(jobs, 'countOpen').mockRejectedValueOnce(new Error('away'));
  expect((await ask('a', 'POST', '/snapshots', { vm: 'a-1' })).status).toBe(500);
  expect((await ask('a', 'POST', '/snapshots', { vm: 'a-1' })).status).toBe(202);
  expect(countOpen).toHaveBeenCalledTimes(2);
});

it('has the janitor free places whose request died before it was on record', async () => {
  for (const kind of ['jobs', 'schedules'] as const)
    for (let n = 0; n < 2; n++) await runtime.store.counters.take(quotaOf(kind, 'a'), randomUUID(), 2);
  expect((await ask('a', 'POST', '/snapshots', { vm: 'a-1' })).status).toBe(403);
  await tidy(runtime);
  expect((await ask('a', 'POST', '/snapshots', { vm: 'a-1' })).status).toBe(202);
  await tidy(runtime);
  expect(await runtime.store.counters.holders(quotaOf('jobs', 'a'))).toHaveLength(1);
});
