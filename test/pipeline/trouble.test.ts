import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { VmSpec } from '../../local/pool/pool.ts';
import { logIn } from '../local/pool/client.ts';
import { PLUGIN_FILE, type Scenario, scenario } from '../support/scenario.ts';

const LOCK = 'vm-data/allowvssprovider';
const small = { diskMib: 2, dataMib: 0.5 };

/** A plugin that answers every call with these members of xapi's response. */
const script = (status: string, rest: string) => `#!/bin/sh
echo '<methodResponse><params><param><value><struct><member><name>Status</name><value>${status}</value></member>${rest}</struct></value></param></params></methodResponse>'
`;
/** Nova's has the same name, and no function that we call. */
const NOVAS_PLUGIN = script(
  'Failure',
  '<member><name>ErrorDescription</name><value><array><data><value>UNKNOWN_XENAPI_PLUGIN_FUNCTION</value><value>version</value></data></array></value></member>',
);
const OLD_PLUGIN = script(
  'Success',
  '<member><name>Value</name><value>{"version":"1.0.0","api":2}</value></member>',
);

const vms: VmSpec[] = [
  { name: 'one-of-two', ...small },
  { name: 'one-of-two', ...small },
  { name: 'golden', kind: 'template', ...small },
  { name: 'diskless', kind: 'noDisk' },
  { name: 'raw', rootFormat: 'raw', ...small },
  { name: 'without-snapshots', sr: 'rawhba', ...small },
  { name: 'big', diskMib: 2048, dataMib: 0 },
  { name: 'plain', ...small },
  { name: 'far-storage', host: 'xen2', sr: 'nfs', ...small },
  { name: 'halted-far-storage', host: 'xen2', powerState: 'Halted', ...small },
  { name: 'no-plugin', host: 'xen3', ...small },
  { name: 'novas-plugin', host: 'xen4', ...small },
  { name: 'old-plugin', host: 'xen6', ...small },
  { name: 'full', host: 'xen5', ...small },
  { name: 'full-quiet', host: 'xen5', powerState: 'Halted', ...small },
  { name: 'Running', ...small },
  { name: 'Halted', powerState: 'Halted', ...small },
  { name: 'Paused', powerState: 'Paused', ...small },
  { name: 'Suspended', powerState: 'Suspended', ...small },
];

let all: Scenario;
const closers: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  all = await scenario({
    atEnd: (close) => closers.push(close),
    pool: { vms: 0, hosts: 6 },
    vms,
    prepare: async (pool) => {
      const admin = await logIn(pool.url, pool.username, pool.password);
      await admin.task('VM.snapshot', pool.vm('plain').ref, 'before-upgrade');
      await admin.call('session.logout');
      const [, xen2, xen3, xen4, , xen6] = pool.hosts.map(({ uuid }) => uuid);
      const shared = pool.srs.find(({ name }) => name.startsWith('NFS'))?.uuid ?? '';
      await pool.setPbdPlugged(xen2 ?? '', shared, false);
      await pool.setPbdPlugged(xen2 ?? '', localSr(pool, 'xen2'), false);
      await pool.installPlugin(xen3 ?? '', null);
      const file = join(pool.srs[0]?.folder ?? '', '..', '..', 'plugin');
      await writeFile(file, NOVAS_PLUGIN);
      await pool.installPlugin(xen4 ?? '', file);
      await writeFile(file, OLD_PLUGIN);
      await pool.installPlugin(xen6 ?? '', file);
      await pool.fillSr(localSr(pool, 'xen5'), true);
    },
  });
});
afterAll(async () => {
  for (const close of closers.reverse()) await close();
});

/** UUID of a host's local SR. */
function localSr(pool: Scenario['pool'], hostName: string): string {
  const host = pool.hosts.find(({ name }) => name === hostName)?.ref;
  const attached = Object.values(pool.records('PBD')).filter((pbd) => pbd.host === host);
  const sr = pool.srs.find(
    ({ ref, name }) => name === 'Local storage' && attached.some((pbd) => pbd.SR === ref),
  );
  return sr?.uuid ?? '';
}

/** Asks for a snapshot that is refused at once. */
async function refusal(body: object) {
  const { status, body: answer } = await all.ask('POST', '/snapshots', body);
  return { status, ...answer.error };
}

describe('a request is refused, with nothing begun,', () => {
  it.each<[string, object | (() => object), number, string, RegExp]>([
    ['for a VM that is not there', { vm: 'nobody' }, 404, 'VmNotFound', /no VM "nobody"/],
    [
      'for a UUID that is not there',
      { vm: '7d2f5b4e-0000-4000-8000-000000000000' },
      404,
      'VmNotFound',
      /no VM "7d2f5b4e/,
    ],
    [
      'for a pool that is not there',
      { vm: 'plain', pool: 'other' },
      404,
      'PoolNotFound',
      /"other".*there is demo/,
    ],
    ['for a template', { vm: 'golden' }, 400, 'VmIsTemplate', /"golden" is a template/],
    [
      'for a template that comes with the release',
      { vm: 'Debian Bookworm 12' },
      400,
      'VmIsTemplate',
      /"Debian Bookworm 12" is a template/,
    ],
    ['for a snapshot', { vm: 'before-upgrade' }, 400, 'VmIsSnapshot', /"before-upgrade" is a snapshot/],
    [
      'for a snapshot’s UUID',
      () => ({ vm: all.pool.vm('before-upgrade').uuid }),
      400,
      'VmIsSnapshot',
      /is a snapshot; name the VM that it was made of/,
    ],
    [
      'for a control domain',
      { vm: 'Control domain on host: xen1' },
      400,
      'VmIsControlDomain',
      /is a host's control domain/,
    ],
    ['for a VM without a disk', { vm: 'diskless' }, 400, 'VmHasNoDisk', /"diskless" has no disk/],
    ['for a raw disk', { vm: 'raw' }, 400, 'DiskFormatUnsupported', /a raw image/],
    [
      'for an SR without snapshots',
      { vm: 'without-snapshots' },
      400,
      'StorageUnsupported',
      /of type rawhba, which makes no snapshots/,
    ],
    [
      'for a disk that is larger than asked for',
      { vm: 'big', maxSizeGib: 1 },
      413,
      'DiskTooLarge',
      /2\.0 GiB.*1 GiB/,
    ],
  ])('%s', async (_, body, status, name, message) => {
    const said = await refusal(typeof body === 'function' ? body() : body);
    expect(said).toMatchObject({ status, name, message: expect.stringMatching(message) });
    expect((await all.ask('GET', '/snapshots')).body.snapshots).toEqual([]);
    expect(all.glance.images()).toEqual([]);
    expect(await all.leftBehind()).toEqual([]);
  });

  it('for a name that two VMs have, which are told', async () => {
    const said = await refusal({ vm: 'one-of-two' });
    const both = all.pool.vms().filter(({ name }) => name === 'one-of-two');
    expect(said).toMatchObject({ status: 409, name: 'VmNameAmbiguous' });
    expect(said.candidates.map(({ uuid }: { uuid: string }) => uuid).sort()).toEqual(
      both.map(({ uuid }) => uuid).sort(),
    );
    for (const { uuid } of both) expect(said.message).toContain(uuid);
    expect(await all.leftBehind()).toEqual([]);
  });
});

describe('a job fails, and nothing is left behind,', () => {
  it.each<[string, string, string, RegExp]>([
    [
      'where the VM’s host does not see its disk',
      'far-storage',
      'StorageNotAttached',
      /"NFS shared storage".*not attached to the host on which the VM runs/,
    ],
    [
      'where no host sees the disk',
      'halted-far-storage',
      'StorageNotAttached',
      /"Local storage".*attached to no host/,
    ],
    ['where the host has no plugin', 'no-plugin', 'PluginMissing', /plugin is not installed.*plugin\/README/],
    [
      'where the host has Nova’s plugin',
      'novas-plugin',
      'PluginTooOld',
      /another glance plugin.*plugin\/README/,
    ],
    [
      'where the host has an old plugin',
      'old-plugin',
      'PluginTooOld',
      /plugin on host "xen6" is version 1\.0\.0, too old.*plugin\/README/,
    ],
    ['where the SR is full', 'full', 'StorageFull', /storage repository is full/],
    ['where the SR of a halted VM is full', 'full-quiet', 'StorageFull', /storage repository is full/],
  ])('%s', async (_, vm, name, message) => {
    const done = await all.job(await all.request(vm));
    expect(done).toMatchObject({
      status: 'failed',
      error: { name, message: expect.stringMatching(message) },
    });
    expect(all.glance.images().filter(({ id }) => id === done.id)).toEqual([]);
    expect(all.pool.vm(vm).record().xenstore_data).toEqual({ [LOCK]: 'false' });
    expect(await all.leftBehind()).toEqual([]);
  });
});

describe('a VM is imaged and stays as it was', () => {
  it.each(['Running', 'Halted', 'Paused', 'Suspended'])('when it is %s', async (state) => {
    const vm = all.pool.vm(state);
    const live = vm.liveXenstore();
    const done = await all.job(await all.request(state));
    expect(done.error).toBeUndefined();
    expect(done).toMatchObject({ status: 'succeeded', consistency: 'crash-consistent' });
    expect(vm.record()).toMatchObject({ power_state: state, xenstore_data: { [LOCK]: 'false' } });
    expect(vm.liveXenstore()).toEqual(live);
    expect(await all.leftBehind()).toEqual([]);
  });
});

it.each(['Running', 'Halted'] as const)(
  'locks a VM that was %s, and is paused, once it runs',
  async (before) => {
    const { pool, service, request, job } = await scenario({
      pool: { vms: 0 },
      vms: [{ name: 'napping', powerState: before, ...small }],
      speed: 20,
      service: {
        onState: (_job, state) => {
          if (state !== 'StartUpload') return;
          // One that is started while it is open has no key in its guest either.
          pool.vm('napping').setPowerState('Running');
          pool.vm('napping').setPowerState('Paused');
        },
      },
    });
    const vm = pool.vm('napping');
    const told = await job(await request('napping'), ({ finishedAt }) => finishedAt !== undefined);
    expect(told.status).toBe('succeeded');
    const warned = await job(told.id, ({ warnings = [] }) => warnings.length > 0);
    expect(warned.warnings?.[0]).toMatch(/"napping" is paused, and xapi can't lock a paused guest/);
    // xapi cannot reach the live key of a paused guest, so the debt and the lease stay.
    expect(vm.liveXenstore()).not.toHaveProperty(LOCK);
    await service.settled();
    await service.janitor();
    expect((await job(told.id, () => true)).debts).toEqual(new Set(['relock']));
    vm.setPowerState('Running');
    await service.janitor();
    await job(told.id);
    expect(vm.liveXenstore()?.[LOCK]).toBe('false');
    vm.setPowerState(before);
  },
  120_000,
);

it('images a VM whose host gets our plugin after it was missing', async () => {
  const { pool, request, job } = await scenario({ pool: { vms: 1, diskMib: 2 } });
  const host = pool.hosts[0]?.uuid ?? '';
  const vm = pool.vms()[0]?.uuid ?? '';
  await pool.installPlugin(host, null);
  expect(await job(await request(vm))).toMatchObject({ error: { name: 'PluginMissing' } });
  await pool.installPlugin(host, PLUGIN_FILE);
  expect((await job(await request(vm))).status).toBe('succeeded');
});
