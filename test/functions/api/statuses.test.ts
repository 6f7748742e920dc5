import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createApi } from '../../../functions/api/app.ts';
import { XensnapError } from '../../../functions/errors.ts';
import type { Runtime } from '../../../functions/runtime/executions.ts';
import { storeIn } from '../../../functions/store.ts';
import { MemoryTable } from '../../scale/memory-table.ts';
import { aJob, aRestore } from './a-job.ts';
import { memoryRuntime, NOBODY, recordsOfPool } from './memory-runtime.ts';
import { aRawImage } from './raw-image.ts';
import type { ApiDocument, Operation } from './requests.ts';

/** What is the matter with the service that is asked. */
type World = 'well' | 'libvirt' | 'away' | 'glanceAway' | 'broken' | 'emptyTable' | 'noJanitor' | 'forgetful';

const REPORT = {
  dryRun: false,
  startedAt: '2026-01-01T00:00:00Z',
  finishedAt: '2026-01-01T00:00:01Z',
  findings: [],
};

interface Ask {
  readonly path?: string;
  readonly query?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  readonly world?: World;
}

const TENANT = { vmTags: [], vmNamePatterns: [], admin: false, maxSchedules: 1, maxOpenJobs: 9 };
const IMAGE = aRawImage();
const UNFINISHED = aRawImage({ status: 'saving' });

let vmUuid = '';
let runtime: Runtime;
let url = '';
let document: ApiDocument;
const closing: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  const records = await recordsOfPool([{ name: 'web-1' }, { name: 'twin' }, { name: 'twin' }]);
  vmUuid = String(Object.values(records.VM ?? {}).find(({ name_label }) => name_label === 'web-1')?.uuid);
  runtime = memoryRuntime(records, () => {}, [IMAGE, UNFINISHED]);
  const apis = Object.fromEntries(Object.entries(worlds(runtime)).map(([world, make]) => [world, make()]));
  const server = serve({
    hostname: '127.0.0.1',
    port: 0,
    // A request as API Gateway hands it on: with the caller, whom its authorizer has looked at.
    fetch: (request) => {
      const { headers } = request;
      const caller = headers.get('x-test-caller');
      const authorizer =
        caller === 'foreign' || caller === 'tenant'
          ? { lambda: { projectId: caller, userId: 'u', admin: false, role: 'member' } }
          : {};
      const env = caller === null ? {} : { event: { requestContext: { authorizer } } };
      return (
        apis[headers.get('x-test-world') ?? 'well']?.fetch(request, env) ??
        new Response(null, { status: 599 })
      );
    },
  });
  await new Promise((resolve) => server.once('listening', resolve));
  closing.push(() => new Promise((resolve) => server.close(resolve)));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  document = (await (await fetch(`${url}/openapi.json`)).json()) as ApiDocument;
});
afterAll(async () => {
  for (const close of closing) await close();
});

function worlds(well: Runtime): Record<World, () => ReturnType<typeof createApi>> {
  const janitor = async () => REPORT;
  const poolAway = new XensnapError('PoolUnreachable', 'Nobody is there.');
  const glanceAway = new XensnapError('GlanceUnavailable', 'Glance is not there.');
  const failing = (error: Error) => () => Promise.reject(error);
  const fault = new TypeError('a fault of ours');
  const throttled = Object.assign(new Error('Slow down.'), { name: 'ThrottlingException' });
  /** Each of its methods fails as the real one does: when it is waited for. */
  const failingStore = (error: Error): Runtime['store'] => {
    const fail = { get: () => () => rejection(error) };
    return new Proxy({}, { get: () => new Proxy({}, fail) }) as Runtime['store'];
  };
  const faultyConfig: Runtime['config'] = {
    ...well.config,
    get pools(): never {
      throw fault;
    },
    get projects(): never {
      throw fault;
    },
  };
  const pools = well.config.pools.map((pool) => ({ ...pool, driver: 'libvirt' as const }));
  return {
    well: () => createApi(well, { janitor }),
    libvirt: () => createApi({ ...well, config: { ...well.config, pools } }, { janitor }),
    away: () =>
      createApi(
        {
          ...well,
          store: failingStore(throttled),
          withSession: failing(poolAway),
        },
        { janitor: failing(poolAway) },
      ),
    glanceAway: () =>
      createApi(
        {
          ...well,
          glance: {
            ...well.glance,
            createImage: failing(glanceAway),
            getImage: failing(glanceAway),
            check: failing(glanceAway),
            listImages: () => ({ [Symbol.asyncIterator]: () => ({ next: failing(glanceAway) }) }) as never,
          },
        },
        { janitor: failing(glanceAway) },
      ),
    broken: () =>
      createApi(
        {
          ...well,
          config: faultyConfig,
          store: failingStore(fault),
          withSession: failing(fault),
        },
        { janitor: failing(fault) },
      ),
    // The pool has a kept disk, and the table does not say whose it is.
    forgetful: () =>
      createApi({
        ...well,
        config: { ...well.config, projects: { tenant: TENANT } },
        store: failingStore(throttled),
        withSession: (_pool, use) =>
          use({ call: async () => ({ 'OpaqueRef:kept': keptDisk(well) }) } as never),
      }),
    emptyTable: () => createApi({ ...well, store: storeIn(new MemoryTable()) }),
    noJanitor: () => createApi(well),
  };
}

/** A disk that a restore has taken out of a VM, as the pool has it. */
function keptDisk({ config: { installation } }: Runtime) {
  const uuid = randomUUID();
  const since = '2026-01-01T00:00:00.000Z';
  const note = { installation, disk: uuid, vm: randomUUID(), device: '0', since };
  return {
    ...{ uuid, name_label: 'kept', virtual_size: '1', is_a_snapshot: false, VBDs: [] },
    other_config: { [`xensnap:${randomUUID()}:kept`]: JSON.stringify(note) },
  };
}

/** A promise or a list that fails once somebody waits for it. */
function rejection(error: Error): object {
  const failed = () => Promise.reject(error);
  return {
    // biome-ignore lint/suspicious/noThenProperty: it stands for a promise, but for one that nobody may wait for
    then: (...handlers: Parameters<Promise<never>['then']>) => failed().then(...handlers),
    catch: (handler: () => unknown) => failed().catch(handler),
    [Symbol.asyncIterator]: () => ({ next: failed }),
  };
}

async function newJob(fields: Parameters<typeof aJob>[0] = {}): Promise<string> {
  const job = aJob(fields);
  await runtime.store.jobs.create(job);
  return job.id;
}

async function newRestore(fields: Parameters<typeof aRestore>[0] = {}): Promise<string> {
  const job = aRestore(fields);
  await runtime.store.jobs.create(job);
  return job.id;
}

/** One into a VM, which has been undone, and whose other disk was destroyed since. */
async function newExchange(): Promise<string> {
  const at = '2026-01-01T01:00:00.000Z';
  const [diskUuid, srUuid] = [randomUUID(), randomUUID()];
  const id = await newRestore({
    ...{ status: 'succeeded', committed: true, finishedAt: at, undoneAt: at, keptGoneAt: at, diskUuid },
    into: { uuid: vmUuid, name: 'web-1', device: '0', diskUuid: randomUUID(), srUuid, shutdown: false },
  });
  await runtime.store.jobs.settle(id);
  return id;
}

const schedule = (vm: string) => ({ vm, daily: { window: 'H_2200_0000' }, keep: 7 });

async function newSchedule(): Promise<string> {
  const { text } = await send('post', { path: '/schedules', body: schedule(vmUuid) });
  return `/schedules/${JSON.parse(text).id}`;
}

/** A request of each operation that is done. */
const DONE: Record<string, () => Ask | Promise<Ask>> = {
  requestSnapshot: () => ({ body: { vm: vmUuid } }),
  getSnapshot: async () => ({ path: `/snapshots/${await newJob()}` }),
  cancelSnapshot: async () => ({ path: `/snapshots/${await newJob()}` }),
  listEvents: async () => ({ path: `/snapshots/${await newJob()}/events` }),
  requestRestore: () => ({ body: { image: IMAGE.id } }),
  getRestore: async () => ({ path: `/restores/${await newRestore()}` }),
  cancelRestore: async () => ({ path: `/restores/${await newRestore()}` }),
  listRestoreEvents: async () => ({ path: `/restores/${await newRestore()}/events` }),
  undoRestore: async () => ({ path: `/restores/${await newExchange()}/undo` }),
  destroyKeptDisk: async () => ({ path: `/restores/${await newExchange()}/kept` }),
  runJanitor: () => ({ body: { dryRun: true } }),
  getJanitorReport: async () => {
    await runtime.store.janitorReports.keep(REPORT);
    return {};
  },
  createSchedule: () => ({ body: schedule(vmUuid) }),
  getSchedule: async () => ({ path: await newSchedule() }),
  replaceSchedule: async () => ({ path: await newSchedule(), body: schedule(vmUuid) }),
  removeSchedule: async () => ({ path: await newSchedule() }),
  judgeRetention: async () => ({ path: `${await newSchedule()}/retention` }),
  getComputeServer: () => ({ path: `/v2.1/servers/${vmUuid}` }),
  getComputeFlavor: () => ({ path: '/v2.1/flavors/2vcpu-1024mib-1gib' }),
  getComputeFlavorExtraSpecs: () => ({ path: '/v2.1/flavors/2vcpu-1024mib-1gib/os-extra_specs' }),
  actOnComputeServer: () => ({
    path: `/v2.1/servers/${vmUuid}/action`,
    body: { createBackup: { name: 'x', backup_type: 'daily', rotation: '7' } },
  }),
  createCloudServersImage: () => ({ body: { image: { serverId: vmUuid, name: 'x' } } }),
  getCloudServersImage: async () => ({ path: `/v1.0/images/${await newJob()}` }),
  getCloudServersBackupSchedule: () => ({ path: `/v1.0/servers/${vmUuid}/backup_schedule` }),
  saveCloudServersBackupSchedule: () => ({
    path: `/v1.0/servers/${vmUuid}/backup_schedule`,
    body: { backupSchedule: { enabled: true, weekly: 'SUNDAY', daily: 'H_2200_0000' } },
  }),
  disableCloudServersBackupSchedule: () => ({ path: `/v1.0/servers/${vmUuid}/backup_schedule` }),
};

/** How any operation is made to answer so, where it can. */
const PROVOKED: Record<string, (done: Ask, operation: Operation) => Ask | Promise<Ask>> = {
  400: (done, { parameters = [] }) =>
    parameters.some(({ name }) => name === 'limit')
      ? { ...done, query: '?limit=x' }
      : done.body === undefined
        ? { ...done, query: '?nothing=x', headers: { 'openstack-api-version': 'compute x' } }
        : { ...done, body: '{' },
  401: (done) => ({ ...done, headers: { 'x-test-caller': 'stranger' } }),
  403: (done) => ({ ...done, headers: { 'x-test-caller': 'foreign' } }),
  404: ({ path = '', ...done }) => ({
    ...done,
    path: path.replace(/[0-9a-f-]{36}|2vcpu-1024mib-1gib/, NOBODY),
  }),
  406: (done) => ({
    ...done,
    headers: { 'openstack-api-version': 'compute 2.90', accept: 'application/xml' },
  }),
  409: async (done) => {
    await runtime.store.leases.takeVm('demo', vmUuid, await newJob({ vmUuid }));
    return done;
  },
  413: (done) => ({ ...done, body: ' '.repeat(70_000) }),
  415: (done) => ({ body: {}, ...done, headers: { 'content-type': 'application/xml' } }),
  500: (done) => ({ ...done, world: 'broken' }),
  501: (done) => ({ ...done, world: 'libvirt' }),
  502: (done) => ({ ...done, world: 'glanceAway' }),
  503: (done) => ({ ...done, world: 'away' }),
};

/** Where an operation needs another reason for a status. */
const OTHERWISE: Record<string, () => Ask | Promise<Ask>> = {
  'requestSnapshot 404': () => ({ body: { vm: NOBODY } }),
  'cancelSnapshot 409': async () => ({
    path: `/snapshots/${await newJob({ status: 'succeeded', finishedAt: '2026-01-01T01:00:00.000Z' })}`,
  }),
  'requestRestore 404': () => ({ body: { image: NOBODY } }),
  'requestRestore 409': () => ({ body: { image: UNFINISHED.id } }),
  'cancelRestore 409': async () => ({
    path: `/restores/${await newRestore({ status: 'succeeded', finishedAt: '2026-01-01T01:00:00.000Z' })}`,
  }),
  'undoRestore 409': async () => ({ path: `/restores/${await newRestore()}/undo` }),
  'destroyKeptDisk 409': async () => ({ path: `/restores/${await newRestore()}/kept` }),
  'listKeptDisks 503': () => ({ world: 'forgetful', headers: { 'x-test-caller': 'tenant' } }),
  'createSchedule 404': () => ({ body: schedule(NOBODY) }),
  'createSchedule 409': () => ({ body: schedule('twin') }),
  'replaceSchedule 409': async () => ({ path: await newSchedule(), body: schedule('twin') }),
  'replaceSchedule 501': async () => ({
    path: await newSchedule(),
    body: schedule('twin'),
    world: 'libvirt',
  }),
  'getReport 400': () => ({ query: '?date=x' }),
  'getJanitorReport 404': () => ({ world: 'emptyTable' }),
  'getDiagnosis 500': () => ({ world: 'broken', headers: { 'x-test-caller': 'foreign' } }),
  'getHealth 503': () => ({ world: 'glanceAway' }),
  'runJanitor 501': () => ({ body: {}, world: 'noJanitor' }),
  'createCloudServersImage 404': () => ({ body: { image: { serverId: NOBODY, name: 'x' } } }),
  'getCloudServersImage 503': () => ({ path: `/v1.0/images/${randomUUID()}`, world: 'glanceAway' }),
};

it('answers every operation with each status that it documents, over HTTP', async () => {
  const wrong: string[] = [];
  let asked = 0;
  for (const [template, methods] of Object.entries(document.paths))
    for (const [method, operation] of Object.entries(methods))
      for (const status of Object.keys(operation.responses)) {
        const name = `${operation.operationId} ${status}`;
        const holder = await runtime.store.leases.holderOfVm('demo', vmUuid);
        if (holder !== undefined) await runtime.store.leases.releaseVm('demo', vmUuid, holder);
        const done = { path: template, ...(await DONE[operation.operationId]?.()) };
        const other = OTHERWISE[name];
        const provoke = PROVOKED[status] ?? ((ask: Ask) => ask);
        const ask = other ? { path: template, ...(await other()) } : await provoke(done, operation);
        const answer = await send(method, ask);
        asked += 1;
        if (String(answer.status) !== status) wrong.push(`${name}: answered ${answer.status} ${answer.text}`);
        else if (answer.status >= 400 && template !== '/healthz' && !/"message":"[^"]/.test(answer.text))
          wrong.push(`${name}: ${answer.text}`);
      }
  expect(wrong).toEqual([]);
  expect(asked).toBeGreaterThan(100);
});

async function send(method: string, { path = '', query = '', body, headers = {}, world }: Ask) {
  const response = await fetch(`${url}${path}${query}`, {
    method: method.toUpperCase(),
    headers: {
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
      ...(world && { 'x-test-world': world }),
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  return { status: response.status, text: await response.text() };
}
