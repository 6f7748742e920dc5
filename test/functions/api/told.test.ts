import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApi } from '../../../functions/api/app.ts';
import { ERROR_STATUS, type ErrorName, XensnapError } from '../../../functions/errors.ts';
import type { Runtime } from '../../../functions/runtime/executions.ts';
import { GlanceUnavailable } from '../../../glance/errors.ts';
import { aJob } from './a-job.ts';
import { type ServedApi, serveApi } from './served-api.ts';

/** What a pool, Glance, Keystone or AWS may put into a message, and no caller of a project may read. */
const CANARY = 'https://10.20.30.40:5000 answered cred-7f3a of secret/pool on xen-host-9';

/** Names whose message speaks of the caller's own alone. */
const OF_THE_CALLER: readonly ErrorName[] = [
  'BadRequest',
  'Forbidden',
  'IdempotencyConflict',
  'JobClosing',
  'JobCommitted',
  'JobFinished',
  'JobNotFound',
  'JobUnknown',
  'MetadataReserved',
  'NotFound',
  'QuotaExceeded',
  'RestoreConflict',
  'RootDiskAmbiguous',
  'ScheduleNotFound',
  'Unauthorized',
  'VmChanged',
  'VmIsControlDomain',
  'VmNameAmbiguous',
  'VmNotHalted',
  'VmNotFound',
];
const NAMES = Object.keys(ERROR_STATUS) as ErrorName[];

let api: ServedApi;
beforeAll(async () => {
  api = await serveApi({
    pool: { vms: 0 },
    config: { projects: { a: { vmTags: ['team-a'] }, ops: { admin: true } } },
  });
});
afterAll(() => api[Symbol.asyncDispose]());

/** What a project's caller gets, as text. */
async function ask(projectId: string, path: string, runtime: Runtime = api.runtime, body?: object) {
  const authorizer = { lambda: { projectId, userId: 'u', admin: projectId === 'ops', role: 'member' } };
  const response = await createApi(runtime).request(
    path,
    {
      ...(body && {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
    },
    { event: { requestContext: { authorizer } } },
  );
  return { status: response.status, text: await response.text() };
}

/** A request of each API that begins at the pool. */
const REQUESTS: readonly [string, object?][] = [
  ['/vms'],
  ['/snapshots', { vm: 'web' }],
  ['/schedules', { vm: 'web', daily: { at: '02:00' }, keep: 1 }],
  ['/v2.1/servers/detail'],
  [`/v2.1/servers/${randomUUID()}/action`, { createImage: { name: 'n' } }],
  ['/v1.0/images', { image: { serverId: randomUUID(), name: 'n' } }],
];

const failing = (error: Error): Runtime => ({ ...api.runtime, withSession: () => Promise.reject(error) });

describe.each(NAMES)('%s', (name) => {
  it('is told with its message to operators, and to a project with what is the project’s to know', async () => {
    const runtime = failing(new XensnapError(name, CANARY, { details: { pool: CANARY } }));
    for (const [path, body] of REQUESTS) {
      const theirs = await ask('a', path, runtime, body);
      expect(theirs.status, path).toBeGreaterThanOrEqual(400);
      expect(theirs.text.includes(CANARY), path).toBe(OF_THE_CALLER.includes(name));
      expect(theirs.text, path).toMatch(/"message":"[^"]{10}/);
      const operators = await ask('ops', path, runtime, body);
      expect(operators.text.includes(CANARY), path).toBe(name !== 'Internal');
      expect(operators.status, path).toBe(theirs.status);
    }
  });

  it('is never told to a project in the words of somebody else’s error of that name', async () => {
    const runtime = failing(Object.assign(new Error(CANARY), { name }));
    for (const [path, body] of REQUESTS)
      expect((await ask('a', path, runtime, body)).text, path).not.toContain(CANARY);
  });
});

it.each(['Error', 'ResourceNotFoundException', 'toString', 'QuotaOfTomorrow'])(
  'tells nobody what an error said that has no name of ours: %s',
  async (name) => {
    const runtime = failing(Object.assign(new Error(CANARY), { name }));
    for (const [path, body] of REQUESTS)
      for (const project of ['a', 'ops'])
        expect((await ask(project, path, runtime, body)).text).not.toContain('10.20.30.40');
  },
);

it('tells a project nothing of Glance that is away while its image is asked for', async () => {
  const { uuid } = await api.pool.addVm({ name: 'web', tags: ['team-a'] });
  const away = () => Promise.reject(new GlanceUnavailable(`POST ${CANARY}`));
  const runtime = { ...api.runtime, glance: { ...api.runtime.glance, createImage: away } };
  for (const [path, body] of [
    ['/snapshots', { vm: 'web' }],
    [`/v2.1/servers/${uuid}/action`, { createImage: { name: 'n' } }],
    ['/v1.0/images', { image: { serverId: uuid, name: 'n' } }],
  ] as const) {
    const { status, text } = await ask('a', path, runtime, body);
    expect([502, 503]).toContain(status);
    expect(text).toContain('The image service did not do what was asked of it');
    expect(text).not.toContain('10.20.30.40');
    expect((await ask('ops', path, runtime, body)).text).toContain('10.20.30.40');
  }
});

it('names to a project no host, and no place of Glance where the image is to be looked for', async () => {
  const { uuid } = await api.pool.addVm({ name: 'placed', tags: ['team-a'] });
  for (const path of ['/vms', '/v2.1/servers/detail']) {
    expect((await ask('a', path)).text).not.toContain('xen1');
    expect((await ask('ops', path)).text).toContain('xen1');
  }
  const authorizer = { lambda: { projectId: 'a', userId: 'u', admin: false, role: 'member' } };
  const made = await createApi(api.runtime).request(
    `/v2.1/servers/${uuid}/action`,
    {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"createImage":{"name":"n"}}',
    },
    { event: { requestContext: { authorizer } } },
  );
  expect(made.headers.get('location')).toMatch(/^\/v2\/images\/[0-9a-f-]{36}$/);
});

describe('what is on record', () => {
  it.each([...NAMES, 'SomethingNew'])('of a job that failed with %s', async (name) => {
    const job = aJob({ project: 'a', hostName: 'xen-host-9', hostUuid: 'cred-7f3a' });
    await api.runtime.store.jobs.create({
      ...job,
      error: { name, message: CANARY },
      warnings: [CANARY],
    });
    await api.runtime.store.jobs.warn(job.id, `Not tidied up: ${CANARY}`);
    await api.runtime.store.jobs.warn(job.id, `Not quiesced: ${CANARY}`, 'Not quiesced.');
    const path = `/snapshots/${job.id}`;
    const { error, warnings, host, hostUuid } = JSON.parse((await ask('a', path)).text);
    expect(error.message === CANARY).toBe(OF_THE_CALLER.includes(name as ErrorName));
    expect([error.name, host, hostUuid]).toEqual([name, null, null]);
    expect(warnings).toEqual([
      'The operators of this service have a warning about this job.',
      'Not quiesced.',
    ]);
    const whole = JSON.parse((await ask('ops', path)).text);
    expect([whole.error.message, whole.host]).toEqual([CANARY, 'xen-host-9']);
    expect(whole.warnings).toEqual([CANARY, `Not tidied up: ${CANARY}`, `Not quiesced: ${CANARY}`]);
  });

  it('of a job of an earlier version, whose warnings are for operators alone', async () => {
    const job = aJob({ project: 'a' });
    await api.runtime.store.jobs.create({ ...job, warnings: [CANARY] });
    const { warnings } = JSON.parse((await ask('a', `/snapshots/${job.id}`)).text);
    expect(warnings).toEqual(['The operators of this service have a warning about this job.']);
  });

  it('of a run of a schedule, and of pools that a schedule could not ask', async () => {
    const made = await ask('a', '/schedules', api.runtime, {
      selector: { tag: 'x' },
      daily: { at: '02:00' },
      keep: 1,
    });
    const { id: scheduleId } = JSON.parse(made.text);
    const run = { scheduleId, nominal: '2026-03-01T02:00:00.000Z', project: 'a', backupType: 'daily' };
    await api.runtime.store.runs.create(run, 4e9);
    await api.runtime.store.runs.trouble(run, { name: 'PoolUnreachable', message: CANARY });
    const unreachable = failing(new XensnapError('PoolUnreachable', CANARY));
    for (const [path, runtime] of [
      ['/reports?date=2026-03-01', api.runtime],
      [`/schedules/${scheduleId}/retention`, unreachable],
    ] as const) {
      const theirs = await ask('a', path, runtime);
      expect(theirs.text).toContain('"name":"PoolUnreachable"');
      expect(theirs.text).not.toContain('10.20.30.40');
      expect((await ask('ops', path, runtime)).text).toContain('10.20.30.40');
    }
  });
});
