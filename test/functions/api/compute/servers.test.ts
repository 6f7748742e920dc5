import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createApi } from '../../../../functions/api/app.ts';
import type { SnapshotJob } from '../../../../functions/job.ts';
import type { VmHandle } from '../../../../local/pool/pool.ts';
import { aJob } from '../a-job.ts';
import { type ServedApi, serveApi } from '../served-api.ts';

const novaId = randomUUID();
const copied = randomUUID();
let api: ServedApi;
const vms: Record<string, VmHandle> = {};
beforeAll(async () => {
  api = await serveApi({
    pool: { vms: 0 },
    config: { projects: { a: { vmTags: ['a'] }, ops: { admin: true } } },
  });
  for (const spec of [
    { name: 'web-1', tags: ['a'] },
    { name: 'web-2', powerState: 'Halted' as const },
    { name: 'db.1', powerState: 'Paused' as const, diskMib: 1500 },
    { name: 'nova', powerState: 'Suspended' as const, otherConfig: { nova_uuid: novaId } },
    { name: 'copy of it', otherConfig: { nova_uuid: copied } },
    { name: 'and another', otherConfig: { nova_uuid: copied } },
    { name: 'diskless', kind: 'noDisk' as const },
    { name: 'template', kind: 'template' as const },
  ])
    vms[spec.name] = await api.pool.addVm(spec);
});
afterAll(() => api[Symbol.asyncDispose]());

const uuidOf = (name: string) => vms[name]?.uuid ?? '';
const names = async (query = '') =>
  (await api.ask('GET', `/v2.1/servers${query}`)).body.servers
    .map(({ name }: { name: string }) => name)
    .sort();

it('lists VMs as servers, and nothing else', async () => {
  const { status, body } = await api.ask('GET', '/v2.1/servers');
  expect(status).toBe(200);
  expect(body.servers).toHaveLength(7);
  expect(body.servers).toContainEqual({
    id: uuidOf('web-1'),
    name: 'web-1',
    links: [
      { rel: 'self', href: `${api.url}/v2.1/servers/${uuidOf('web-1')}` },
      { rel: 'bookmark', href: `${api.url}/servers/${uuidOf('web-1')}` },
    ],
  });
});

it('tells of a server what is known of the VM', async () => {
  const { body } = await api.ask('GET', `/v2.1/servers/${uuidOf('db.1')}`);
  expect(body.server).toMatchObject({
    id: uuidOf('db.1'),
    name: 'db.1',
    status: 'PAUSED',
    'OS-EXT-STS:vm_state': 'paused',
    'OS-EXT-STS:power_state': 3,
    'OS-EXT-STS:task_state': null,
    'OS-EXT-AZ:availability_zone': 'demo',
    'OS-EXT-SRV-ATTR:host': expect.any(String),
    hostId: expect.stringMatching(/^[0-9a-f]{56}$/),
    image: '',
    flavor: { id: '2vcpu-1024mib-2gib', links: [{ rel: 'bookmark' }] },
    created: expect.stringMatching(/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    'OS-SRV-USG:launched_at': expect.stringMatching(/^20.*\d{6}$/),
  });
  expect(body.server).not.toHaveProperty('progress');
});

it.each([
  ['web-1', 'ACTIVE', 'active', 1],
  ['web-2', 'SHUTOFF', 'stopped', 4],
  ['nova', 'SUSPENDED', 'suspended', 7],
] as const)('tells that %s is %s', async (name, status, vmState, powerState) => {
  const { body } = await api.ask('GET', `/v2.1/servers/${uuidOf(name)}`);
  expect(body.server).toMatchObject({
    status,
    'OS-EXT-STS:vm_state': vmState,
    'OS-EXT-STS:power_state': powerState,
  });
});

it('gives the same in the detailed list as for each', async () => {
  const { body } = await api.ask('GET', '/v2.1/servers/detail');
  for (const server of body.servers)
    expect((await api.ask('GET', `/v2.1/servers/${server.id}`)).body.server).toEqual(server);
});

it('knows a VM that Nova made by Nova’s id, unless copies share it', async () => {
  for (const id of [novaId, novaId.toUpperCase(), uuidOf('nova')])
    expect((await api.ask('GET', `/v2.1/servers/${id}`)).body.server.id).toBe(novaId);
  for (const name of ['copy of it', 'and another'])
    expect((await api.ask('GET', `/v2.1/servers/${uuidOf(name)}`)).body.server.id).toBe(uuidOf(name));
  expect((await api.ask('GET', `/v2.1/servers/${copied}`)).status).toBe(404);
});

it('says of a server that is not there what Nova says', async () => {
  const id = randomUUID();
  for (const unknown of [id, 'web-1', uuidOf('template')]) {
    const { status, body } = await api.ask('GET', `/v2.1/servers/${unknown}`);
    expect(status).toBe(404);
    expect(body).toEqual({ itemNotFound: { code: 404, message: `Instance ${unknown} could not be found.` } });
  }
});

it.each([
  ['name=web-1', ['web-1']],
  ['name=web', ['web-1', 'web-2']],
  ['name=%5Eweb-%5B12%5D%24', ['web-1', 'web-2']],
  ['name=db.1', ['db.1']],
  ['name=b.1', ['db.1', 'web-1']],
  ['name=%5E1', []],
  ['status=SHUTOFF', ['web-2']],
  ['status=shutoff&status=paused', ['db.1', 'web-2']],
  ['status=ERROR', []],
  ['status=ACTIVE&name=web', ['web-1']],
  [`uuid=${novaId}`, ['nova']],
  ['flavor=2vcpu-1024mib-2gib', ['db.1']],
  ['name=web-1&deleted=False&all_tenants=True', ['web-1']],
  ['name=web&all_tenants=&availability_zone=demo', ['web-1', 'web-2']],
  ['availability_zone=nova', []],
])('filters by %s', async (query, expected) => {
  expect(await names(`?${query}`)).toEqual(expected);
});

it.each([
  'host=xen1',
  'ip=10.0.0.1',
  'ip6=fe80',
  'image=x',
  'changes-since=2020-01-01T00:00:00Z',
  'changes-before=2020-01-01T00:00:00Z',
  'user_id=u',
  'project_id=p',
  'tenant_id=p',
  'reservation_id=r',
  'tags=a',
  'vm_state=active',
  'locked=true',
  'nmae=web',
  '__proto__=x',
  'toString=x',
])('refuses %s, by which it cannot filter, in place of listing everything', async (query) => {
  const [name] = query.split('=');
  for (const list of ['servers', 'servers/detail', 'flavors', 'flavors/detail']) {
    const { status, body } = await api.ask(
      'GET',
      `/v2.1/${list}?name=web&${query}`.replace(/(flavors.*\?)name=web&/, '$1'),
    );
    expect([status, body.badRequest.code]).toEqual([400, 400]);
    expect(body.badRequest.message).toContain(
      `Additional properties are not allowed ('${name}' was unexpected)`,
    );
  }
});

it.each([
  ['deleted=True', 'deleted. Value: True. There are no deleted servers.'],
  ['deleted=maybe', 'deleted. Value: maybe. It must be true or false.'],
  ['sort_key=host', 'sort_key. Value: host. It must be one of created_at, display_name, uuid.'],
  ['sort_key=toString', 'sort_key. Value: toString.'],
  ['sort_dir=up', 'sort_dir. Value: up. It must be asc or desc.'],
])('refuses %s', async (query, message) => {
  const { status, body } = await api.ask('GET', `/v2.1/servers?${query}`);
  expect([status, body.badRequest.message]).toEqual([
    400,
    expect.stringContaining(`Invalid input for query parameters ${message}`),
  ]);
});

it('sorts as it is asked to, over pages too', async () => {
  const sorted = async (query: string) =>
    (await api.ask('GET', `/v2.1/servers?${query}`)).body.servers.map(({ name }: { name: string }) => name);
  const byName = await sorted('sort_key=display_name&sort_dir=asc');
  expect(byName).toEqual([...byName].sort());
  expect(await sorted('sort_key=display_name')).toEqual(byName.toReversed());
  expect(await sorted('sort_key=created_at&sort_dir=desc')).toEqual(await sorted(''));
  const first = await api.ask('GET', '/v2.1/servers?sort_key=display_name&sort_dir=asc&limit=3');
  const [{ href }] = first.body.servers_links;
  const { search } = new URL(href);
  const next = (await api.ask('GET', `/v2.1/servers${search}`)).body.servers;
  expect([...first.body.servers, ...next].map(({ name }) => name)).toEqual(byName.slice(0, 6));
});

it('lists other projects’ servers to nobody who is confined to one', async () => {
  const ask = async (projectId: string, value: string) => {
    const env = { event: { requestContext: { authorizer: { lambda: { projectId, userId: 'u' } } } } };
    const response = await createApi(api.runtime).request(`/v2.1/servers?all_tenants=${value}`, {}, env);
    // biome-ignore lint/suspicious/noExplicitAny: what an answer holds is what the tests assert
    return { status: response.status, body: (await response.json()) as any };
  };
  for (const value of ['1', 'True', '']) {
    const { status, body } = await ask('a', value);
    expect([status, body.forbidden.message]).toEqual([403, expect.stringContaining('get_all_tenants')]);
    expect((await ask('ops', value)).status).toBe(200);
  }
  expect((await ask('a', '0')).body.servers).toHaveLength(1);
});

it('has public flavors alone', async () => {
  for (const [value, some] of [
    ['None', true],
    ['True', true],
    ['False', false],
  ] as const)
    expect((await api.ask('GET', `/v2.1/flavors?is_public=${value}`)).body.flavors.length > 0).toBe(some);
  expect((await api.ask('GET', '/v2.1/flavors?is_public=x')).status).toBe(400);
});

it('refuses expressions that never end, at once', async () => {
  await api.pool.addVm({ name: `${'a'.repeat(60)}!` });
  const { status, body } = await api.ask('GET', `/v2.1/servers?name=${encodeURIComponent('^(a+)+$')}`);
  expect([status, body.badRequest.code]).toEqual([400, 400]);
});

it.each(['name=%5B', 'limit=-1', 'limit=x', 'limit=1e3', `marker=${randomUUID()}`])(
  'refuses %s',
  async (query) => {
    for (const list of ['servers', 'servers/detail']) {
      const { status, body } = await api.ask('GET', `/v2.1/${list}?${query}`);
      expect(status).toBe(400);
      expect(body.badRequest.message).toMatch(/Invalid input|marker \[.*\] not found/);
    }
  },
);

it('pages through the list by the links that it gives', async () => {
  const all = (await api.ask('GET', '/v2.1/servers')).body;
  expect(all).not.toHaveProperty('servers_links');
  const seen: string[] = [];
  let path = '/v2.1/servers/detail?limit=2';
  for (;;) {
    const { body } = await api.ask('GET', path);
    expect(body.servers.length).toBeLessThanOrEqual(2);
    seen.push(...body.servers.map(({ id }: { id: string }) => id));
    const [next] = body.servers_links ?? [];
    if (!next) break;
    expect(next.rel).toBe('next');
    expect(next.href).toContain(`${api.url}/v2.1/servers/detail?limit=2&marker=`);
    path = next.href.slice(api.url.length);
  }
  expect(seen).toEqual(all.servers.map(({ id }: { id: string }) => id));
  expect((await api.ask('GET', '/v2.1/servers?limit=0')).body).toEqual({ servers: [] });
});

it('keeps a filter in the link to the next page', async () => {
  const first = (await api.ask('GET', '/v2.1/servers?name=web&limit=1')).body;
  const [next] = first.servers_links;
  const second = (await api.ask('GET', next.href.slice(api.url.length))).body;
  expect(
    [first, second].flatMap(({ servers }) => servers.map(({ name }: { name: string }) => name)).sort(),
  ).toEqual(['web-1', 'web-2']);
});

it.each([
  ['TakeVm', 'image_snapshot_pending', 'image_backup'],
  ['ConfirmHost', 'image_snapshot_pending', 'image_backup'],
  ['PollSnapshot', 'image_snapshot', 'image_backup'],
  ['AwaitCoalesce', 'image_pending_upload', 'image_pending_upload'],
  ['PollUpload', 'image_uploading', 'image_uploading'],
  ['RelockVm', 'image_uploading', 'image_uploading'],
] as const)('tells of a job in %s as %s, of a backup as %s', async (phase, snapshot, backup) => {
  const { store } = api.runtime;
  for (const [request, taskState] of [
    [{}, snapshot],
    [{ backup: { type: 'daily', keep: 1 } }, backup],
  ] as const) {
    const base = aJob({ vmUuid: uuidOf('web-1'), phase });
    const job: SnapshotJob = { ...base, request: { ...base.request, ...request } };
    await store.jobs.create(job);
    await store.leases.takeVm('demo', job.vmUuid, job.id);
    const one = (await api.ask('GET', `/v2.1/servers/${job.vmUuid}`)).body.server;
    await store.leases.releaseVm('demo', job.vmUuid, job.id);
    expect([one['OS-EXT-STS:task_state'], one.status]).toEqual([taskState, 'ACTIVE']);
  }
});

it('lists the sizes that there are, and knows each by its id', async () => {
  const { body } = await api.ask('GET', '/v2.1/flavors/detail?is_public=None');
  expect(body.flavors.map(({ id }: { id: string }) => id)).toEqual([
    '2vcpu-1024mib-0gib',
    '2vcpu-1024mib-1gib',
    '2vcpu-1024mib-2gib',
  ]);
  expect(body.flavors[2]).toMatchObject({ name: '2vcpu-1024mib-2gib', vcpus: 2, ram: 1024, disk: 2 });
  for (const flavor of body.flavors)
    expect((await api.ask('GET', `/v2.1/flavors/${flavor.id}`)).body.flavor).toEqual(flavor);
  const brief = (await api.ask('GET', '/v2.1/flavors?minDisk=1&limit=1')).body;
  expect(Object.keys(brief.flavors[0])).toEqual(['id', 'name', 'links']);
  const rest = (await api.ask('GET', brief.flavors_links[0].href.slice(api.url.length))).body;
  expect([brief, rest].map(({ flavors }) => flavors[0].id)).toEqual([
    '2vcpu-1024mib-1gib',
    '2vcpu-1024mib-2gib',
  ]);
  expect((await api.ask('GET', '/v2.1/flavors?minRam=2048')).body).toEqual({ flavors: [] });
  expect((await api.ask('GET', '/v2.1/flavors?minRam=lots')).status).toBe(400);
  const specs = await api.ask('GET', '/v2.1/flavors/2vcpu-1024mib-1gib/os-extra_specs');
  expect([specs.status, specs.body]).toEqual([200, { extra_specs: {} }]);
  expect((await api.ask('GET', '/v2.1/flavors/m1.small/os-extra_specs')).status).toBe(404);
  const unknown = await api.ask('GET', '/v2.1/flavors/m1.small');
  expect([unknown.status, unknown.body.itemNotFound.message]).toEqual([
    404,
    'Flavor m1.small could not be found.',
  ]);
});

it('shows a project its own servers alone, and no hosts’ names', async () => {
  const ask = async (projectId: string, path: string) => {
    const lambda = { projectId, userId: 'u', admin: false };
    const env = { event: { requestContext: { authorizer: { lambda } } } };
    const response = await createApi(api.runtime).request(`/v2.1${path}`, {}, env);
    // biome-ignore lint/suspicious/noExplicitAny: what an answer holds is what the tests assert
    return { status: response.status, body: (await response.json()) as any };
  };
  const { body } = await ask('a', '/servers/detail');
  expect(body.servers.map(({ name }: { name: string }) => name)).toEqual(['web-1']);
  expect(body.servers[0].tenant_id).toBe('a');
  expect(Object.keys(body.servers[0]).filter((key) => key.startsWith('OS-EXT-SRV-ATTR'))).toEqual([]);
  expect((await ask('a', `/servers/${uuidOf('web-2')}`)).status).toBe(404);
  expect((await ask('a', '/flavors')).body.flavors).toHaveLength(1);
  expect((await ask('ops', '/servers')).body.servers.length).toBeGreaterThan(1);
  const stranger = await ask('b', '/servers');
  expect([stranger.status, stranger.body.forbidden.code]).toEqual([403, 403]);
});
