import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { cancelJob } from '../../functions/cancel.ts';
import type { Fault } from '../../local/pool/pool.ts';
import { impatientPlugin } from '../support/impatient-plugin.ts';
import { askRestore, restored, takeAway } from '../support/restoring.ts';
import { POOL_NAME, type Scenario, type ScenarioOptions, scenario } from '../support/scenario.ts';

const timings = {
  hostAwaySeconds: 20,
  hostAwayClosingSeconds: 10,
  hostAwayPollSeconds: 2,
  uploadRetrySeconds: 1,
  snapshotLostSeconds: 5,
  callSeconds: 4,
};

/** A VM that was imaged. */
async function imaged(options: ScenarioOptions = {}): Promise<Scenario & { image: string }> {
  const at = await scenario({
    ...options,
    pool: { vms: 1, diskMib: 8, ...options.pool },
    service: { timings, ...(typeof options.service === 'object' && options.service) },
  });
  const image = await at.request('web-1');
  await at.job(image);
  return { ...at, image };
}

/** A restore whose download stands still in Glance. */
async function downloading(
  options: ScenarioOptions = {},
  wish: object = {},
  prepare = async (_at: Scenario) => {},
) {
  const at = await imaged(options);
  await prepare(at);
  const goOn = Promise.withResolvers<void>();
  at.glance.faults.add({ method: 'GET', path: /\/file$/, hold: goOn.promise });
  const id = await askRestore(at.service, at.image, wish);
  const started = await restored(at.service, id, ({ phase }) => phase === 'PollDownload');
  return { ...at, id, started, goOn: goOn.resolve };
}

/** A step or a plugin that is killed with its session open leaves that to xapi, for a day. */
async function betweenLooks({ pool, clock }: Scenario): Promise<void> {
  while ((await pool.inventory()).sessions > 0) await clock.sleep(0.2);
}

it('is cancelled in the middle of its download, and leaves nothing, though the reply to its call was lost', async () => {
  // So that nobody tags the task: the janitor knows it by the plugin's own answer.
  const lose = async ({ pool }: Scenario) =>
    void pool.faults.add({ method: 'Async.host.call_plugin', drop: 'after', times: 1 });
  const { pool, service, id, started, goOn } = await downloading({}, {}, lose);
  await cancelJob(started, service.runtime, 'somebody');
  const done = await restored(service, id);
  goOn();
  expect(done).toMatchObject({
    status: 'cancelled',
    error: { name: 'JobCancelled' },
    cancelledBy: 'somebody',
  });
  expect((await pool.inventory()).tasks).toEqual(['Async.host.call_plugin']);
  await service.janitor();
});

it('goes on on another host when its own is being disabled, and fails by name where there is none', async () => {
  const pluginFile = await impatientPlugin('ENABLED_SECONDS', 1);
  const at = await downloading({ pool: { hosts: 3, pluginFile } });
  const { pool, service, glance, image, id, started } = at;
  const goOn = Promise.withResolvers<void>();
  glance.faults.add({ method: 'GET', path: /\/file$/, hold: goOn.promise });
  const shared = await askRestore(service, image, { sr: 'NFS shared storage' });
  const { hostUuid: first = '' } = await restored(service, shared, ({ phase }) => phase === 'PollDownload');
  // The storage of one of them is one host's alone.
  for (const host of [started.hostUuid ?? '', first]) await pool.setHost(host, { enabled: false });
  const failed = await restored(service, id);
  expect(failed).toMatchObject({ status: 'failed', error: { name: 'StorageNotAttached' } });
  expect(failed.error?.message).toMatch(/to no other host that is enabled/);
  // The other host may be the one that is held up, which its plugin would bear for 90 s.
  goOn.resolve();
  at.goOn();
  const done = await restored(service, shared);
  expect(done).toMatchObject({ status: 'succeeded', requeues: 1, hostsLeft: [first], uploadAttempts: 2 });
  expect([started.hostUuid, first]).not.toContain(done.hostUuid);
  // Nobody there knows what the first one has written.
  expect(done.bytesWritten).toBe(done.virtualBytes);
  await takeAway(service, done);
});

it('moves on from host to host while they are disabled one after the other, and has all its tries on the last', async () => {
  const pluginFile = await impatientPlugin('ENABLED_SECONDS', 1);
  const at = await downloading({ pool: { hosts: 3, pluginFile } }, { sr: 'NFS shared storage' });
  const { pool, service, glance, id } = at;
  const left: string[] = [];
  const atWork = () =>
    restored(
      service,
      id,
      ({ phase, hostUuid = '' }) => phase === 'PollDownload' && hostUuid !== '' && !left.includes(hostUuid),
    );
  while (left.length < 2) {
    glance.faults.add({ method: 'GET', path: /\/file$/, hold: Promise.withResolvers<void>().promise });
    const { hostUuid = '' } = await atWork();
    left.push(hostUuid);
    if (left.length === 2) {
      glance.faults.clear();
      // Two of its tries come to nothing where there is no other host.
      pool.faults.add({ method: 'VBD.plug', code: 'INTERNAL_ERROR', params: ['x'], times: 2 });
    }
    await pool.setHost(hostUuid, { enabled: false });
  }
  const done = await restored(service, id);
  at.goOn();
  expect(done).toMatchObject({ status: 'succeeded', requeues: 2, hostsLeft: left, uploadAttempts: 5 });
  expect(left).not.toContain(done.hostUuid);
  await takeAway(service, done);
});

it('goes to no dead host as long as another one sees the SR, though that has the fewest transfers', async () => {
  const at = await downloading(
    { pool: { hosts: 2 }, slots: 2 },
    { sr: 'NFS shared storage' },
    async ({ pool }) => pool.setHost(pool.hosts[1]?.uuid ?? '', { enabled: false }),
  );
  const { pool, service, image, started } = at;
  const [busy, dead] = pool.hosts.map(({ uuid }) => uuid);
  expect(started.hostUuid).toBe(busy);
  await pool.setHost(dead ?? '', { enabled: true, live: false });
  const id = await askRestore(service, image, { sr: 'NFS shared storage' });
  const next = await restored(service, id, ({ hostUuid, finishedAt }) => Boolean(hostUuid || finishedAt));
  expect(next.hostUuid).toBe(busy);
  at.goOn();
  for (const each of [at.id, id]) await takeAway(service, await restored(service, each));
  await pool.setHost(dead ?? '', { live: true });
});

it('leaves nothing when the service is killed in the middle of its download', async () => {
  const at = await downloading({ restarts: true });
  await betweenLooks(at);
  const restarted = await at.restart();
  at.goOn();
  const done = await restored(restarted, at.id);
  expect(done).toMatchObject({ status: 'failed', error: { name: 'Interrupted' } });
});

it('makes one of each although the reply to the call that makes it is lost', async () => {
  const { pool, service, image } = await imaged();
  const lost: readonly Fault[] = [
    { method: 'VDI.create', drop: 'after' },
    { method: 'VDI.create', drop: 'before' },
    { method: 'VM.create', drop: 'after' },
    { method: 'VM.create', drop: 'before' },
    { method: 'VBD.create', drop: 'after' },
    { method: 'VIF.create', drop: 'after' },
    { method: 'Async.host.call_plugin', drop: 'after' },
    { method: 'VM.set_name_label', drop: 'after' },
  ];
  for (const fault of lost) {
    const told = `${fault.method} ${fault.drop}`;
    const takeBack = pool.faults.add({ ...fault, times: 1 });
    const before = await pool.inventory();
    const done = await restored(service, await askRestore(service, image));
    expect(done, told).toMatchObject({ status: 'succeeded' });
    takeBack();
    const after = await pool.inventory();
    expect(after.vms.length - before.vms.length, told).toBe(1);
    expect(after.vdis.length - before.vdis.length, told).toBe(1);
    expect(
      after.vms.find(({ uuid }) => uuid === done.restoredVmUuid),
      told,
    ).toMatchObject({
      name: 'web-1',
      vifs: [expect.any(String)],
    });
    await takeAway(service, done);
  }
}, 300_000);

it('fails by name, with nothing left, where something stays as it is', async () => {
  const { pool, glance, service, image } = await imaged();
  const stays: readonly (readonly [plant: () => () => void, name: string])[] = [
    // Glance refuses the data.
    [
      () => {
        glance.faults.add({ method: 'GET', path: /\/file$/, status: 403, times: 9 });
        return glance.faults.clear;
      },
      'GlanceForbidden',
    ],
    // The SR has no room for the disk.
    [
      () =>
        pool.faults.add({
          method: 'VDI.create',
          code: 'SR_BACKEND_FAILURE_44',
          params: ['', 'There is insufficient space', ''],
        }),
      'StorageFull',
    ],
    // No VM can be made.
    [
      () => pool.faults.add({ method: 'VM.create', code: 'LICENCE_RESTRICTION', params: ['x'] }),
      'XapiFailure',
    ],
    // No plugin is there that could.
    [
      () =>
        pool.faults.add({ method: 'host.call_plugin', code: 'XENAPI_MISSING_PLUGIN', params: ['glance'] }),
      'PluginMissing',
    ],
  ];
  for (const [plant, name] of stays) {
    const takeBack = plant();
    const done = await restored(service, await askRestore(service, image));
    expect(done).toMatchObject({ status: 'failed', error: { name } });
    takeBack();
  }
}, 180_000);

it('goes on where a connection to Glance drops in the middle, and where dom0 does not let the disk go at once', async () => {
  const { pool, glance, service, image } = await imaged();
  glance.faults.add({ method: 'GET', path: /\/file$/, drop: 'during', afterBytes: 20_000 });
  pool.faults.add({
    method: 'VBD.unplug',
    times: 1,
    code: 'SR_BACKEND_FAILURE_1200',
    params: ['', 'tap-ctl close failed: status=16', ''],
  });
  const done = await restored(service, await askRestore(service, image));
  expect(done).toMatchObject({ status: 'succeeded' });
  await takeAway(service, done);
}, 180_000);

it('fails with ImageNotFound where the image is deleted before it is read', async () => {
  const { glance, service, image } = await imaged();
  const ask = service.runtime.glance.getImage.bind(service.runtime.glance);
  vi.spyOn(service.runtime.glance, 'getImage').mockImplementation(async (id) => {
    const found = await ask(id);
    await fetch(`${glance.url}/v2/images/${image}`, { method: 'DELETE' });
    vi.restoreAllMocks();
    return found;
  });
  const done = await restored(service, await askRestore(service, image));
  expect(done).toMatchObject({ status: 'failed', error: { name: 'ImageNotFound' } });
});

it.each(['returns', 'is ejected'] as const)(
  'lets a disk go that a dead host had once that host %s, and says that it waits for it',
  async (then) => {
    const at = await downloading(
      {
        pool: { vms: 1, hosts: 2 },
        // With a host its control domain goes.
        leaves:
          then === 'returns'
            ? []
            : [
                expect.stringMatching(/^pool: vms: gone: .*"Control domain/),
                expect.stringMatching(/^pool: locks: gone/),
              ],
      },
      { sr: 'NFS shared storage' },
      // With the master there would be no pool.
      ({ pool }) => pool.setHost(pool.hosts[0]?.uuid ?? '', { enabled: false }),
    );
    const { pool, service, started } = at;
    const host = pool.hosts[1];
    expect(started.hostUuid).toBe(host?.uuid);
    await betweenLooks(at);
    await pool.setHost(host?.uuid ?? '', { live: false });
    const told = await restored(service, at.id, ({ finishedAt }) => finishedAt !== undefined);
    expect(told).toMatchObject({ status: 'failed', error: { name: 'HostUnreachable' } });
    expect(told.debts?.has('disk')).toBe(true);
    if (then === 'returns') await pool.setHost(host?.uuid ?? '', { live: true });
    else await pool.ejectHost(host?.uuid ?? '');
    at.goOn();
    await service.settled();
    await service.janitor();
    await restored(service, at.id);
  },
  180_000,
);

it('keeps addresses that nobody has, and takes new ones where somebody does', async () => {
  const { pool, service, image } = await imaged();
  const own = (await pool.inventory()).vms.find(({ name }) => name === 'web-1')?.vifs;
  const auto = await restored(service, await askRestore(service, image));
  expect(auto.restoredMacs).toBe('new');
  expect(auto.warnings).toEqual([expect.stringContaining('new MAC addresses')]);
  const kept = await restored(service, await askRestore(service, image, { macs: 'keep' }));
  const vifsOf = async (uuid = '') => (await pool.inventory()).vms.find((vm) => vm.uuid === uuid)?.vifs;
  expect(await vifsOf(auto.restoredVmUuid)).not.toEqual(own);
  expect(await vifsOf(kept.restoredVmUuid)).toEqual(own);
  for (const done of [auto, kept]) await takeAway(service, done);
});

it('makes the disk alone where that was asked for, under the name that was', async () => {
  const { pool, service, image } = await imaged();
  const wish = { disksOnly: true, name: 'rescued' };
  const done = await restored(service, await askRestore(service, image, wish));
  expect(done).toMatchObject({ status: 'succeeded' });
  expect(done.restoredVmUuid).toBeUndefined();
  const { vdis } = await pool.inventory();
  expect(vdis.find(({ uuid }) => uuid === done.diskUuid)).toMatchObject({ name: 'rescued' });
  await takeAway(service, done);
});

it('starts the VM where that was asked for, and says why it could not', async () => {
  const { pool, service, image } = await imaged();
  const started = await restored(service, await askRestore(service, image, { start: true }));
  expect(started).toMatchObject({ status: 'succeeded' });
  const state = await service.runtime.withSession(POOL_NAME, async (xapi) =>
    xapi.call('VM.get_power_state', await xapi.call('VM.get_by_uuid', started.restoredVmUuid ?? '')),
  );
  expect(state).toBe('Running');
  pool.faults.add({ method: 'VM.start', code: 'HOST_NOT_ENOUGH_FREE_MEMORY', params: ['1', '0'] });
  const halted = await restored(service, await askRestore(service, image, { start: true }));
  expect(halted).toMatchObject({ status: 'succeeded' });
  expect(halted.warnings?.at(-1)).toContain('could not be started');
  for (const done of [started, halted]) await takeAway(service, done);
});

it('has the janitor finish what a committed restore has not named, and destroy what another left', async () => {
  const { pool, service, image } = await imaged();
  const remove = pool.faults.add({ method: 'VM.set_name_label', code: 'INTERNAL_ERROR', params: ['x'] });
  const named = await restored(service, await askRestore(service, image, { start: true }));
  expect(named).toMatchObject({ status: 'succeeded' });
  expect(named.warnings?.at(-1)).toMatch(/may have to be started by hand.*INTERNAL_ERROR/);
  remove();
  const { findings } = await service.janitor();
  expect(findings).toContainEqual(expect.objectContaining({ id: named.restoredVmUuid, action: 'removed' }));
  const vm = (await pool.inventory()).vms.find(({ uuid }) => uuid === named.restoredVmUuid);
  expect(vm?.name).toBe('web-1');
  expect(Object.keys(vm?.otherConfig ?? {}).filter((key) => key.startsWith('xensnap'))).toEqual([]);
  await takeAway(service, named);
}, 180_000);

it('finds an image that was damaged at rest, and leaves nothing of it', async () => {
  const { folder, service, image } = await imaged();
  const file = (await readdir(join(folder, 'glance'), { recursive: true })).find(
    (name) => name.includes(image) && !name.endsWith('.json'),
  );
  const path = join(folder, 'glance', file ?? '');
  const data = await readFile(path);
  data.writeUInt8((data[100_000] ?? 0) ^ 1, 100_000);
  await writeFile(path, data);
  const done = await restored(service, await askRestore(service, image));
  expect(done).toMatchObject({ status: 'failed', error: { name: 'ImageDamaged' } });
});

it('fails with StorageFull, and leaves nothing, where the SR is full in the middle', async () => {
  const { pool, service, image } = await imaged();
  const sr = pool.srs.find(({ name }) => name === 'NFS shared storage')?.uuid ?? '';
  await pool.fillSr(sr, 1024 ** 2);
  const done = await restored(service, await askRestore(service, image, { sr }));
  expect(done).toMatchObject({ status: 'failed', error: { name: 'StorageFull' } });
  await pool.fillSr(sr, false);
});

it('hands the plugin its token by a secret, which is gone with it', async () => {
  const { pool, service, image } = await imaged({ glance: { token: 'of-glance' } });
  const done = await restored(service, await askRestore(service, image));
  expect(done).toMatchObject({ status: 'succeeded' });
  expect(pool.calls.filter(({ method }) => method === 'secret.create')).toHaveLength(2);
  await takeAway(service, done);
});

it('believes nothing of a description that its owner has edited, and brings the disk back alone', async () => {
  const { glance, service, request, job } = await scenario({ pool: { vms: 1, diskMib: 2 } });
  const image = await request('web-1', { format: 'raw' });
  await job(image);
  const edited = { ...JSON.parse(glance.images()[0]?.properties.xensnap_vm_config ?? '{}') };
  edited.platform = { ...edited.platform, parallel: 'file:/etc/shadow' };
  await fetch(`${glance.url}/v2/images/${image}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/openstack-images-v2.1-json-patch' },
    body: JSON.stringify([{ op: 'replace', path: '/xensnap_vm_config', value: JSON.stringify(edited) }]),
  });
  const done = await restored(service, await askRestore(service, image));
  expect(done).toMatchObject({ status: 'succeeded' });
  expect(done.restoredVmUuid).toBeUndefined();
  expect(done.warnings).toEqual([expect.stringContaining('only its disk was restored')]);
  await takeAway(service, done);
});

it('brings the disk back alone of an image whose texts no pool can be sent, and leaves nothing unfinished', async () => {
  const { pool, glance, service, request, job } = await scenario({ pool: { vms: 1, diskMib: 2 } });
  const image = await request('web-1', { format: 'raw' });
  await job(image);
  const edited = JSON.parse(glance.images()[0]?.properties.xensnap_vm_config ?? '{}');
  edited.disk.name = 'a\u001b[2Jb';
  const change = { xensnap_vm_config: JSON.stringify(edited), name: 'web\u0007' };
  await fetch(`${glance.url}/v2/images/${image}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/openstack-images-v2.1-json-patch' },
    body: JSON.stringify(
      Object.entries(change).map(([key, value]) => ({ op: 'replace', path: `/${key}`, value })),
    ),
  });
  const done = await restored(service, await askRestore(service, image));
  expect(done).toMatchObject({ status: 'succeeded' });
  const { vdis } = await pool.inventory();
  const disk = vdis.find(({ uuid }) => uuid === done.diskUuid);
  expect(disk?.name).toBe('web\ufffd');
  expect((await service.janitor()).findings).toEqual([]);
  await takeAway(service, done);
});

it('gives two that are restored at once no address twice', async () => {
  const { pool, service, image } = await imaged({
    pool: { vms: 0 },
    vms: [{ name: 'web-1', diskMib: 2, powerState: 'Halted', nics: [{}, {}] }],
    leaves: [expect.stringMatching(/^pool: vms: more: .*"vifs":\[\]/)],
  });
  await service.runtime.withSession(POOL_NAME, async (xapi) => {
    for (const vif of Object.keys(await xapi.call('VIF.get_all_records_where', 'true')))
      await xapi.call('VIF.destroy', vif as never);
  });
  // Neither has made its interfaces when the other looks whether its addresses are in use.
  pool.faults.add({ method: 'VM.create', delaySeconds: 3, times: 2 });
  const ids = await Promise.all([askRestore(service, image), askRestore(service, image)]);
  const jobs = await Promise.all(ids.map((id) => restored(service, id)));
  expect(jobs.map(({ status }) => status)).toEqual(['succeeded', 'succeeded']);
  const { vms } = await pool.inventory();
  const macs = jobs.flatMap(({ restoredVmUuid }) =>
    (vms.find(({ uuid }) => uuid === restoredVmUuid)?.vifs ?? []).map((vif) => vif.split(' ')[1]),
  );
  expect(macs).toHaveLength(4);
  expect(new Set(macs).size).toBe(4);
  for (const done of jobs) await takeAway(service, done);
});
