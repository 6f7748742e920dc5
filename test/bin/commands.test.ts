import { expect, it } from 'vitest';
import { xensnap } from './command-line.ts';
import { aJobView, JOB_ID, SUCCEEDED, stubApi } from './stub-api.ts';

it('sends what a snapshot is to be like', async () => {
  await using api = await stubApi({ 'POST /snapshots': () => [202, aJobView()] });
  const options = [
    '--pool',
    'demo',
    '--name',
    'n',
    '--quiesce',
    'prefer',
    '--max-size-gib',
    '1.5',
    '--detached',
    '--format',
    'raw',
    '--backup',
    'daily',
    '--keep',
    '7',
  ];
  const metadata = ['--metadata', 'owner=ops', '--metadata', 'note=a=b'];
  const { status, stdout } = await xensnap(['snapshot', 'web-1', ...options, ...metadata, '--api', api.url]);
  expect(status).toBe(0);
  expect(stdout).toContain(`Job ${JOB_ID} has begun`);
  expect(api.requests).toEqual([
    {
      line: 'POST /snapshots',
      body: {
        vm: 'web-1',
        pool: 'demo',
        name: 'n',
        quiesce: 'prefer',
        maxSizeGib: 1.5,
        detached: true,
        format: 'raw',
        backup: { type: 'daily', keep: 7 },
        metadata: { owner: 'ops', note: 'a=b' },
      },
    },
  ]);
});

it('sends which disk is to be imaged, and whether flattened', async () => {
  await using api = await stubApi({ 'POST /snapshots': () => [202, aJobView()] });
  const { status } = await xensnap(['snapshot', 'web-1', '--device', '1', '--flatten', '--api', api.url]);
  expect(status).toBe(0);
  expect(api.requests).toEqual([
    { line: 'POST /snapshots', body: { vm: 'web-1', device: '1', flatten: true } },
  ]);
});

it('tells why the API refused, in one line', async () => {
  const message = 'The VM "web-1" is being imaged\nby the job x.';
  await using api = await stubApi({
    'POST /snapshots': () => [409, { error: { name: 'SnapshotInProgress', message } }],
  });
  const { status, stdout, stderr } = await xensnap(['snapshot', 'web-1'], { XENSNAP_API: `${api.url}/` });
  expect([status, stdout]).toEqual([1, '']);
  expect(stderr).toBe('xensnap: The VM "web-1" is being imaged by the job x.\n');
});

it('says so when something else answers at the address', async () => {
  await using api = await stubApi({ 'GET /vms': () => [200, '<html>'] });
  const { status, stderr } = await xensnap(['vms', '--api', api.url]);
  expect(status).toBe(1);
  expect(stderr).toBe(`xensnap: ${api.url} does not answer as xensnap does (HTTP 200 to GET /vms)\n`);
});

it('lines up VMs in columns, and shows no control character that a VM is named with', async () => {
  const vm = {
    uuid: 'u1',
    pool: 'demo',
    powerState: 'Running',
    host: 'xen1',
    rootDiskBytes: 2 ** 26,
    rootDevice: '0',
    job: null,
  };
  const vms = [
    { ...vm, name: 'web-1' },
    {
      ...vm,
      name: 'a\u001b[2Jlong-name',
      host: null,
      powerState: 'Halted',
      rootDiskBytes: null,
      rootDevice: null,
    },
  ];
  await using api = await stubApi({ 'GET /vms': () => [200, { vms }] });
  const { stdout } = await xensnap(['vms', '--api', api.url]);
  expect(stdout).toBe(
    [
      'NAME            UUID  POOL  STATE    HOST  ROOT DISK  DEVICE  JOB',
      'web-1           u1    demo  Running  xen1  64.0 MiB   0       -',
      'a?[2Jlong-name  u1    demo  Halted   -     -          -       -',
      '',
    ].join('\n'),
  );
});

it('prints one JSON document with --json and nothing else', async () => {
  const answers = {
    'GET /vms': { vms: [] },
    'GET /hosts': { hosts: [{ uuid: 'h' }] },
    [`GET /snapshots/${JOB_ID}`]: aJobView(),
  };
  await using api = await stubApi(
    Object.fromEntries(
      Object.entries(answers).map(([line, body]) => [line, () => [200, body] as const]),
    ) as never,
  );
  for (const [command, answer] of [
    [['vms'], answers['GET /vms']],
    [['hosts'], answers['GET /hosts']],
    [['job', JOB_ID], answers[`GET /snapshots/${JOB_ID}`]],
  ] as const) {
    const { status, stdout, stderr } = await xensnap([...command, '--json', '--api', api.url]);
    expect([status, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout)).toEqual(answer);
  }
});

it('lists jobs over as many pages as the limit needs', async () => {
  const page = (name: string, next: string | null) => () =>
    [200, { snapshots: [aJobView({ vm: { uuid: 'u', name } })], next }] as [number, object];
  await using api = await stubApi({
    'GET /snapshots?limit=3&vm=web-1&status=failed': page('first', 'm1'),
    'GET /snapshots?limit=2&vm=web-1&status=failed&marker=m1': page('second', 'm2'),
    'GET /snapshots?limit=1&vm=web-1&status=failed&marker=m2': page('third', 'm3'),
  });
  const args = ['jobs', '--vm', 'web-1', '--status', 'failed', '--limit', '3', '--api', api.url];
  const { stdout } = await xensnap(args);
  expect(stdout.match(/first|second|third/g)).toEqual(['first', 'second', 'third']);
  expect(api.requests).toHaveLength(3);
});

it('shows all of a job', async () => {
  await using api = await stubApi({ [`GET /snapshots/${JOB_ID}`]: () => [200, aJobView(SUCCEEDED)] });
  const { stdout } = await xensnap(['job', JOB_ID, '--api', api.url]);
  for (const text of ['succeeded', 'nightly', '3.0 MiB', 'abc123', 'crash-consistent', 'it was cold', '1:05'])
    expect(stdout).toContain(text);
});

it('shows who asked for a job and who cancelled it', async () => {
  const view = aJobView({ requestedBy: 'keystone:anna@4f6c', cancelledBy: 'iam:arn:aws:iam::1:user/ops' });
  await using api = await stubApi({ [`GET /snapshots/${JOB_ID}`]: () => [200, view] });
  const { stdout } = await xensnap(['job', JOB_ID, '--api', api.url]);
  expect(stdout).toMatch(/^Requested by +keystone:anna@4f6c\nCancelled by +iam:arn:aws:iam::1:user\/ops$/m);
});

it('shows what a job has done, and why it waits', async () => {
  const events = [
    { state: 'TakeVm', from: '2026-01-02T03:04:05Z', to: '2026-01-02T03:04:06Z', tries: 1, failures: 0 },
    {
      ...{ state: 'StartUpload', from: '2026-01-02T03:05:00Z', tries: 4, failures: 4 },
      failure: {
        at: '2026-01-02T03:31:00Z',
        name: 'KeystoneUnavailable',
        message: 'Keystone does not answer.',
      },
      nextTryBy: '2026-01-02T03:36:00Z',
    },
  ].map((event) => ({ to: null, failure: null, nextTryBy: null, ...event }));
  await using api = await stubApi({ [`GET /snapshots/${JOB_ID}/events`]: () => [200, { events }] });
  const { status, stdout } = await xensnap(['job', JOB_ID, '--events', '--api', api.url]);
  expect(status).toBe(0);
  expect(
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.replaceAll(/ {2,}/g, ' | ')),
  ).toEqual([
    'FROM | TO | STATE | TRIES | FAILED | LAST FAILURE',
    '2026-01-02 03:04:05Z | 2026-01-02 03:04:06Z | TakeVm | 1 | 0 | -',
    '2026-01-02 03:05:00Z | - | StartUpload | 4 | 4 | KeystoneUnavailable: Keystone does not answer.',
    '',
    'StartUpload has failed 4 times, the last time at 2026-01-02 03:31:00Z. It is tried again by 2026-01-02 03:36:00Z at the latest.',
  ]);
});

it('shows with the job, and in the list, of what its step fails and by when it is tried again', async () => {
  const retrying = {
    ...{ name: 'KeystoneUnavailable', message: 'Keystone does not answer.', state: 'StartUpload' },
    ...{ failures: 3, since: '2026-01-02T03:05:00Z', at: '2026-01-02T03:31:00Z' },
    nextTryBy: '2026-01-02T03:36:00Z',
  };
  const job = aJobView({ phase: 'StartUpload', retrying });
  await using api = await stubApi({
    [`GET /snapshots/${JOB_ID}`]: () => [200, job],
    'GET /snapshots?limit=50': () => [200, { snapshots: [job], next: null }],
  });
  const { stdout } = await xensnap(['job', JOB_ID, '--api', api.url], { TZ: 'Europe/Berlin' });
  expect(stdout).toMatch(/^Waits +Keystone does not answer, 4th try by 2026-01-02 04:36:00$/m);
  expect(stdout).toMatch(/^Failing since +2026-01-02 04:05:00$/m);
  const list = await xensnap(['jobs', '--api', api.url]);
  expect(list.stdout).toMatch(/StartUpload +40 .* KeystoneUnavailable, 4th try /);
});

it('shows of a job that has ended what it owes and what comes next', async () => {
  const message = 'It has still to lock the VM. The janitor tries again every 15 minutes.';
  const owing = { message, holdsVm: true, nextTryAt: null };
  const job = aJobView({ ...SUCCEEDED, owes: ['relock'], owing });
  await using api = await stubApi({ [`GET /snapshots/${JOB_ID}`]: () => [200, job] });
  const { stdout } = await xensnap(['job', JOB_ID, '--api', api.url]);
  expect(stdout).toMatch(/^Still owes +relock$/m);
  expect(stdout).toContain(message);
});

it('cancels a job', async () => {
  await using api = await stubApi({ [`DELETE /snapshots/${JOB_ID}`]: () => [202, aJobView()] });
  const { status, stdout } = await xensnap(['cancel', JOB_ID, '--api', api.url]);
  expect([status, stdout]).toEqual([0, `Job ${JOB_ID} is being cancelled.\n`]);
});

it('runs the janitor, dry or not, and shows what it found', async () => {
  const finding = { kind: 'secret', pool: 'demo', id: 's1', what: 'a token', action: 'would' };
  await using api = await stubApi({ 'POST /janitor': () => [200, { dryRun: true, findings: [finding] }] });
  const { stdout } = await xensnap(['janitor', '--dry-run', '--api', api.url]);
  expect(stdout).toMatch(/secret +s1 +demo +a token +would be removed/);
  await xensnap(['janitor', '--api', api.url]);
  expect(api.requests.map(({ body }) => body)).toEqual([{ dryRun: true }, { dryRun: false }]);
});

it("shows the janitor's last round, and starts none", async () => {
  const report = {
    dryRun: false,
    startedAt: '2026-05-05T12:00:00.000Z',
    finishedAt: '2026-05-05T12:00:04.000Z',
    findings: [{ kind: 'snapshot', pool: 'demo', id: 'v1', what: 'a snapshot', action: 'left' }],
    omitted: 3,
  };
  await using api = await stubApi({ 'GET /janitor': () => [200, report] });
  const { status, stdout } = await xensnap(['janitor', '--last', '--api', api.url]);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^Round of 2026-05-05 12:00:00Z, which took 0:04\n/);
  expect(stdout).toMatch(/snapshot +v1 +demo +a snapshot +left: please look/);
  expect(stdout).toMatch(/3 more are in the janitor's log\.\n$/);
  expect(api.requests.map(({ line }) => line)).toEqual(['GET /janitor']);
});

it('prints what was refused as a JSON document, too, with all that the API says of it', async () => {
  const error = { name: 'VmNameAmbiguous', message: '2 VMs are named "twin".', candidates: [{ uuid: 'a' }] };
  await using api = await stubApi({ 'POST /snapshots': () => [409, { error }] });
  const refused = await xensnap(['snapshot', 'twin', '--json', '--api', api.url]);
  expect([refused.status, refused.stderr]).toEqual([1, 'xensnap: 2 VMs are named "twin".\n']);
  expect(JSON.parse(refused.stdout)).toEqual({ error });
  const people = await xensnap(['snapshot', 'twin', '--api', api.url]);
  expect(people.stdout).toBe('');
  const away = await xensnap(['vms', '--json', '--api', 'http://127.0.0.1:9']);
  expect(JSON.parse(away.stdout)).toEqual({
    error: { name: 'ApiUnreachable', message: expect.stringMatching(/^nothing answers at/) },
  });
});

/** What a snapshot of a VM is refused with where there is none of that name, among VMs of these. */
async function notFound(name: string, names: readonly string[] | undefined) {
  const message = `There is no VM "${name}".`;
  const vms = names?.map((each) => ({ name: each }));
  await using api = await stubApi({
    'POST /snapshots': () => [404, { error: { name: 'VmNotFound', message } }],
    'GET /vms': () => (vms ? [200, { vms, next: null }] : [503, { error: { name: 'X', message: 'away' } }]),
  });
  const { status, stderr } = await xensnap(['snapshot', name, '--api', api.url]);
  return [status, stderr.replace(`xensnap: ${message}`, '').trim()];
}

it('guesses which VM was meant where there is none of that name', async () => {
  const names = ['web-1', 'web-2', 'db-1', 'Web 1', 'mail\u001b[2J'];
  expect(await notFound('WEB_1', names)).toEqual([1, 'Did you mean "web-1" or "Web 1"?']);
  expect(await notFound('db', names)).toEqual([1, 'Did you mean "db-1"?']);
  expect(await notFound('mail', names)).toEqual([1, 'Did you mean "mail?[2J"?']);
  expect(await notFound('nothing', names)).toEqual([1, '']);
  expect(await notFound('web-1', undefined)).toEqual([1, '']);
});
