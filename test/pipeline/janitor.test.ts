import { randomUUID } from 'node:crypto';
import { link, mkdir, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { snapshotLabel } from '../../functions/job.ts';
import { uuidsOf } from '../../functions/pool/destroy.ts';
import { noteOpening } from '../../functions/pool/lock.ts';
import { TAGS, tag, tagsOf, untag } from '../../functions/pool/tags.ts';
import { disksOf } from '../../functions/pool/template.ts';
import { createPoolClient } from '../../xapi/client.ts';
import type { Session } from '../../xapi/session.ts';
import type { Ref } from '../../xapi/types.ts';
import { POOL_NAME, type Scenario, scenario } from '../support/scenario.ts';

/** Does something in the pool as an operator with the root password would. */
async function asOperator<T>({ pool }: Scenario, use: (xapi: Session) => Promise<T>): Promise<T> {
  const client = createPoolClient({ addresses: [pool.url], originator: 'operator' });
  try {
    return await client.withSession({ username: pool.username, password: pool.password }, use);
  } finally {
    await client.close();
  }
}

/** What a scenario leaves in whose course others make `count` snapshots. */
const snapshots = (count: number) => [
  expect.stringMatching(/^pool: vms: /),
  ...['vdis', 'files', 'locks'].map((what) =>
    expect.toSatisfy(
      (line: string) => line.startsWith(`pool: ${what}: more: `) && line.split('; ').length === count,
    ),
  ),
];

async function snapshotBy(xapi: Session, vmRef: Ref<'VM'>, label: string): Promise<void> {
  await xapi.call('VM.snapshot', vmRef, label);
}

it("never touches an operator's snapshot, not even one that inherited a job's tags", async () => {
  const at = await scenario({ leaves: snapshots(2) });
  const { pool, service } = at;
  const vmRef = pool.vm('web-1').ref as Ref<'VM'>;
  const { installation } = service.runtime.config;
  await asOperator(at, async (xapi) => {
    await snapshotBy(xapi, vmRef, 'before the upgrade');
    await xapi.call('VM.add_to_other_config', vmRef, TAGS.job, randomUUID());
    await xapi.call('VM.add_to_other_config', vmRef, TAGS.installation, installation);
    await snapshotBy(xapi, vmRef, 'in the wrong moment');
  });
  const { findings } = await service.janitor();
  expect(findings).toEqual([
    expect.objectContaining({ kind: 'tag', action: 'removed' }),
    expect.objectContaining({
      kind: 'snapshot',
      action: 'left',
      what: expect.stringContaining('wrong moment'),
    }),
  ]);
  const names = (await pool.inventory()).vms.filter(({ isSnapshot }) => isSnapshot).map(({ name }) => name);
  expect(names.toSorted()).toEqual(['before the upgrade', 'in the wrong moment']);
});

it('locks a VM again that a reverted snapshot left unlocked and tagged', async () => {
  const at = await scenario();
  const { pool, service } = at;
  const vm = pool.vm('web-1');
  await asOperator(at, async (xapi) => {
    await xapi.call('VM.set_xenstore_data', vm.ref as Ref<'VM'>, {});
    await xapi.call('VM.add_to_other_config', vm.ref as Ref<'VM'>, TAGS.job, randomUUID());
    await xapi.call(
      'VM.add_to_other_config',
      vm.ref as Ref<'VM'>,
      TAGS.installation,
      service.runtime.config.installation,
    );
  });
  await service.janitor();
  expect(vm.liveXenstore()).toMatchObject({ 'vm-data/allowvssprovider': 'false' });
});

it('destroys a snapshot of ours that came after everyone had given up on it', async () => {
  const at = await scenario();
  const { pool, service } = at;
  const jobId = randomUUID();
  const vmRef = pool.vm('web-1').ref as Ref<'VM'>;
  const before = await pool.inventory();
  await asOperator(at, async (xapi) => {
    await xapi.call('VM.add_to_other_config', vmRef, TAGS.job, jobId);
    await xapi.call('VM.add_to_other_config', vmRef, TAGS.installation, service.runtime.config.installation);
    await snapshotBy(xapi, vmRef, snapshotLabel(jobId));
  });
  const dry = await service.janitor(true);
  expect(dry.findings.map(({ kind, action }) => `${kind} ${action}`).toSorted()).toEqual([
    'snapshot would',
    'tag would',
  ]);
  expect((await pool.inventory()).vms.filter(({ isSnapshot }) => isSnapshot)).toHaveLength(1);
  await service.janitor();
  expect(await pool.inventory()).toEqual(before);
});

it.each([
  ['says nothing of', 'while its upload may be at work', 72 * 3600, []],
  ['reports', 'once no upload can be at work', 0.001, [{ kind: 'snapshot', action: 'left' }]],
] as const)('%s what another installation made %s, and leaves it', async (_, _when, seconds, expected) => {
  const at = await scenario({
    service: { timings: { uploadMaxSeconds: seconds } },
    leaves: snapshots(1),
  });
  const jobId = randomUUID();
  const vmRef = at.pool.vm('web-1').ref as Ref<'VM'>;
  await asOperator(at, async (xapi) => {
    await tag(xapi, vmRef, [], { jobId, installation: 'another' });
    await snapshotBy(xapi, vmRef, snapshotLabel(jobId));
  });
  const before = await at.pool.inventory();
  const { findings } = await at.service.janitor();
  expect(findings).toMatchObject(expected);
  expect(findings).toHaveLength(expected.length);
  expect(await at.pool.inventory()).toEqual(before);
});

it('goes on with the others when one snapshot cannot be destroyed, and names it', async () => {
  const at = await scenario();
  const { pool, service } = at;
  const { installation } = service.runtime.config;
  const [a, b] = [randomUUID(), randomUUID()];
  const before = await pool.inventory();
  await asOperator(at, async (xapi) => {
    for (const [name, jobId] of [
      ['web-1', a],
      ['db-1', b],
    ] as const) {
      const ref = pool.vm(name).ref as Ref<'VM'>;
      await tag(xapi, ref, [], { jobId, installation });
      await snapshotBy(xapi, ref, snapshotLabel(jobId));
    }
    await xapi.call('secret.create', { value: 'x', other_config: tagsOf(a, installation) });
  });
  pool.faults.add({
    method: 'VDI.destroy',
    code: 'VDI_IN_USE',
    params: ['OpaqueRef:x', 'destroy'],
    times: 1,
  });
  const { findings } = await service.janitor();
  expect((await pool.inventory()).secrets).toEqual([]);
  expect(findings.map(({ kind, action }) => `${kind} ${action}`).toSorted()).toEqual([
    'secret removed',
    'snapshot failed',
    'snapshot removed',
    'tag removed',
    'tag removed',
  ]);
  expect(findings.find(({ action }) => action === 'failed')?.what).toContain('VDI_IN_USE');
  expect((await service.janitor()).findings).toMatchObject([{ kind: 'snapshot', action: 'removed' }]);
  expect(await pool.inventory()).toEqual(before);
});

it('destroys each other disk of a snapshot whose first cannot be destroyed, and its template only after that one', async () => {
  const at = await scenario({ vms: [{ name: 'several', sr: 'nfs', diskMib: 2, extraDisks: [2, 2] }] });
  const { pool, service } = at;
  const { installation } = service.runtime.config;
  const jobId = randomUUID();
  await asOperator(at, async (xapi) => {
    const ref = pool.vm('several').ref as Ref<'VM'>;
    await tag(xapi, ref, [], { jobId, installation });
  });
  const before = (await pool.inventory()).vdis.length;
  await asOperator(at, (xapi) => snapshotBy(xapi, pool.vm('several').ref as Ref<'VM'>, snapshotLabel(jobId)));
  const snapshotsOf = async () => {
    const { vms, vdis } = await pool.inventory();
    return [vms.filter(({ isSnapshot }) => isSnapshot).length, vdis.length - before];
  };
  expect(await snapshotsOf()).toEqual([1, 3]);
  pool.faults.add({
    method: 'VDI.destroy',
    code: 'VDI_IN_USE',
    params: ['OpaqueRef:x', 'destroy'],
    times: 1,
  });
  const { findings } = await service.janitor();
  expect(findings).toContainEqual(
    expect.objectContaining({
      kind: 'snapshot',
      action: 'failed',
      what: expect.stringContaining('VDI_IN_USE'),
    }),
  );
  expect(await snapshotsOf()).toEqual([1, 1]);
  await service.janitor();
  expect(await snapshotsOf()).toEqual([0, 0]);
});

it('leaves a VM that was never locked unlocked, where the installation restores', async () => {
  const at = await scenario({
    vms: [{ name: 'free-1', locked: false }],
    service: { relock: 'restore' },
  });
  const vm = at.pool.vm('free-1');
  const id = await at.request('free-1');
  await at.job(id);
  expect(vm.liveXenstore()).toEqual({});
  const { installation } = at.service.runtime.config;
  await asOperator(at, (xapi) => tag(xapi, vm.ref as Ref<'VM'>, [], { jobId: id, installation }));
  expect((await at.service.janitor()).findings).toMatchObject([{ kind: 'tag', action: 'removed' }]);
  expect(vm.liveXenstore()).toEqual({});
});

it('locks a VM as it was before, where a snapshot brings an open lock back that was made in a job', async () => {
  const at = await scenario({ service: { relock: 'restore' } });
  const vm = at.pool.vm('web-1');
  const { installation } = at.service.runtime.config;
  await asOperator(at, async (xapi) => {
    const opening = { jobId: randomUUID(), installation, before: 'false', now: at.clock.now() };
    await noteOpening(xapi, vm.ref as Ref<'VM'>, opening);
    await xapi.call('VM.set_xenstore_data', vm.ref as Ref<'VM'>, {});
  });
  expect((await at.service.janitor()).findings).toMatchObject([{ kind: 'tag', action: 'removed' }]);
  expect(vm.liveXenstore()).toEqual({ 'vm-data/allowvssprovider': 'false' });
});

it('destroys a disk that is on its job’s record although its template is gone, and leaves others', async () => {
  const at = await scenario();
  const { pool, service } = at;
  const { installation } = service.runtime.config;
  const vmRef = pool.vm('web-1').ref as Ref<'VM'>;
  const { id } = await at.job(await at.request('web-1'));
  const before = await pool.inventory();
  const [known, unknown] = await asOperator(at, async (xapi) => {
    const made: string[] = [];
    for (const label of ['known', 'unknown']) {
      await tag(xapi, vmRef, await disksOf(xapi, vmRef), { jobId: id, installation });
      const ref = await xapi.call('VM.snapshot', vmRef, label);
      made.push(...(await uuidsOf(xapi, await disksOf(xapi, ref))));
      await xapi.call('VM.destroy', ref);
      await untag(xapi, { ref: vmRef, uuid: pool.vm('web-1').uuid }, await disksOf(xapi, vmRef), id);
    }
    return made;
  });
  await service.runtime.store.jobs.record(id, { snapshotDisks: [known ?? ''] });
  expect((await service.janitor()).findings.map(({ id: disk, action }) => [disk, action]).toSorted()).toEqual(
    [
      [known, 'removed'],
      [unknown, 'left'],
    ].toSorted(),
  );
  await asOperator(at, async (xapi) =>
    xapi.call('VDI.destroy', await xapi.call('VDI.get_by_uuid', unknown ?? '')),
  );
  expect(await pool.inventory()).toEqual(before);
});

it('destroys a disk that is on a closed job’s record and carries no tag any more, and no other such disk', async () => {
  const at = await scenario();
  const { pool, service } = at;
  const vmRef = pool.vm('web-1').ref as Ref<'VM'>;
  const { id } = await at.job(await at.request('web-1'));
  const before = await pool.inventory();
  const [ours = '', others = ''] = await asOperator(at, async (xapi) => {
    const made: string[] = [];
    for (const label of ['ours', 'others']) {
      const ref = await xapi.call('VM.snapshot', vmRef, label);
      made.push(...(await uuidsOf(xapi, await disksOf(xapi, ref))));
      await xapi.call('VM.destroy', ref);
    }
    return made;
  });
  await service.runtime.store.jobs.record(id, { snapshotDisks: [ours] });
  const found = (action: string) => [expect.objectContaining({ kind: 'snapshot', id: ours, action })];
  expect((await service.janitor(true)).findings).toEqual(found('would'));
  expect((await service.janitor()).findings).toEqual(found('removed'));
  expect((await service.janitor()).findings).toEqual([]);
  await asOperator(at, async (xapi) => xapi.call('VDI.destroy', await xapi.call('VDI.get_by_uuid', others)));
  expect(await pool.inventory()).toEqual(before);
});

it('takes the tag of a closed job off a disk of an untagged VM, and leaves the disk', async () => {
  const at = await scenario();
  const { installation } = at.service.runtime.config;
  const [ours, others] = [randomUUID(), randomUUID()];
  const tagsOfDisk = () =>
    asOperator(at, async (xapi) => {
      const [disk = '' as Ref<'VDI'>] = await disksOf(xapi, at.pool.vm('web-1').ref as Ref<'VM'>);
      return { disk, keys: Object.keys((await xapi.call('VDI.get_record', disk)).other_config) };
    });
  const { disk, keys } = await tagsOfDisk();
  await asOperator(at, async (xapi) => {
    for (const [key, value] of Object.entries({
      ...tagsOf(ours, installation),
      ...tagsOf(others, 'another'),
    }))
      await xapi.call('VDI.add_to_other_config', disk, key, value);
  });
  expect((await at.service.janitor()).findings).toMatchObject([{ kind: 'tag', action: 'removed' }]);
  expect((await tagsOfDisk()).keys.toSorted()).toEqual([...keys, `xensnap:${others}`].toSorted());
  await asOperator(at, (xapi) => xapi.call('VDI.remove_from_other_config', disk, `xensnap:${others}`));
});

it('says that a disk on a closed job’s record is no snapshot any more, and leaves it', async () => {
  const at = await scenario({ vms: [{ name: 'plain', sr: 'nfs', diskMib: 2 }], leaves: 'unknown' });
  const { pool, service } = at;
  const { id } = await at.job(await at.request('web-1'));
  // What is there after its SR was forgotten and found again: no VM, no tag, no snapshot.
  const disk = await asOperator(at, async (xapi) => {
    const ref = pool.vm('plain').ref as Ref<'VM'>;
    const [uuid = ''] = await uuidsOf(xapi, await disksOf(xapi, ref));
    pool.vm('plain').setPowerState('Halted');
    await xapi.call('VM.destroy', ref);
    return uuid;
  });
  await service.runtime.store.jobs.record(id, { snapshotDisks: [disk] });
  const { findings } = await service.janitor();
  expect(findings).toMatchObject([
    { id: disk, action: 'left', what: expect.stringContaining('is no snapshot any more') },
  ]);
  expect((await pool.inventory()).vdis.map(({ uuid }) => uuid)).toContain(disk);
});

it('stops an execution of which there is no job, names it, and leaves those that have one', async () => {
  const at = await scenario({ slots: 1 });
  const { executions } = at.service.runtime;
  const goOn = Promise.withResolvers<void>();
  at.glance.faults.add({ method: 'PUT', path: /\/file$/, afterBytes: 1000, hold: goOn.promise });
  const id = await at.request('web-1');
  await at.job(id, ({ phase }) => phase === 'PollUpload');
  const running = async () => (await Array.fromAsync(executions.running(), ({ id }) => id)).toSorted();
  // It ends by itself within a moment, for no step begins without a record: here its record goes while it waits.
  const { store } = at.service.runtime;
  const get = store.jobs.get.bind(store.jobs);
  const waiting = await at.request('db-1');
  await at.job(waiting, ({ phase, stepUntil }) => phase === 'QueueForHost' && stepUntil === undefined);
  vi.spyOn(store.jobs, 'get').mockImplementation(async (jobId) =>
    jobId === waiting ? undefined : get(jobId),
  );
  const open = store.jobs.open.bind(store.jobs);
  vi.spyOn(store.jobs, 'open').mockImplementation(async function* () {
    for await (const job of open()) if (job.id !== waiting) yield job;
  });
  expect(await running()).toEqual([id, waiting].toSorted());
  const found = (action: string) => expect.objectContaining({ kind: 'execution', id: waiting, action });
  expect((await at.service.janitor(true)).findings).toContainEqual(found('would'));
  expect(await running()).toContain(waiting);
  expect((await at.service.janitor()).findings).toContainEqual(found('removed'));
  vi.restoreAllMocks();
  expect(await running()).toEqual([id]);
  goOn.resolve();
  expect(await at.job(waiting)).toMatchObject({ error: { name: 'Interrupted' } });
  expect(await at.job(id)).toMatchObject({ status: 'succeeded' });
});

it('destroys secrets, slots and image records of closed jobs, and leaves those of others', async () => {
  const at = await scenario({ leaves: [expect.stringMatching(/^pool: secrets: more: "[^;]*$/)] });
  const { pool, service, glance } = at;
  const { store, glance: client, config } = service.runtime;
  const jobId = randomUUID();
  await asOperator(at, async (xapi) => {
    const ours = { [TAGS.job]: jobId, [TAGS.installation]: config.installation };
    await xapi.call('secret.create', { value: 'a token', other_config: ours });
    await xapi.call('secret.create', { value: 'a password', other_config: {} });
  });
  await store.counters.take(`host#${POOL_NAME}/${pool.hosts[0]?.uuid}`, jobId, 1);
  const image = {
    name: 'left',
    diskFormat: 'vhd',
    containerFormat: 'ovf',
    visibility: 'private',
  } as const;
  await client.createImage({
    ...image,
    id: jobId,
    properties: { xensnap_installation: config.installation },
  });
  const other = await client.createImage({ ...image, id: randomUUID(), properties: {} });
  const { findings } = await service.janitor();
  expect(findings.map(({ kind, action }) => `${kind} ${action}`).toSorted()).toEqual([
    'image removed',
    'secret removed',
    'slot removed',
  ]);
  expect((await pool.inventory()).secrets).toHaveLength(1);
  expect(glance.images().map(({ id }) => id)).toEqual([other.id]);
});

/** Makes a staging folder as the first version of the plugin did; answers its path. */
async function stage({ pool }: Scenario, srName: string): Promise<string> {
  const folder = pool.srs.find(({ name }) => name === srName)?.folder ?? '';
  const path = join(folder, `xensnap-staging-${randomUUID()}-${randomUUID()}`);
  await mkdir(path);
  const [vhd = ''] = (await readdir(folder)).filter((name) => name.endsWith('.vhd'));
  await link(join(folder, vhd), join(path, '0.vhd'));
  return path;
}

it('tells of folders that the first version left in SRs, each once, and removes none', async () => {
  const at = await scenario({
    pool: { vms: 1, hosts: 3, diskMib: 2 },
    vms: [{ name: 'shared', sr: 'nfs', diskMib: 2 }],
    leaves: [expect.stringMatching(/^pool: files: more: [^;]*xensnap-staging-[^;]*(; more: [^;]*){3}$/)],
  });
  const folders = [await stage(at, 'NFS shared storage'), await stage(at, 'Local storage')];
  for (const round of [1, 2]) {
    const { findings } = await at.service.janitor();
    expect(findings, `round ${round}`).toHaveLength(folders.length);
    for (const folder of folders)
      expect(findings).toContainEqual(
        expect.objectContaining({
          kind: 'staging',
          id: expect.stringContaining(basename(folder)),
          action: 'left',
          what: expect.stringContaining('docs/upgrade.md'),
        }),
      );
  }
  for (const folder of folders) expect(await readdir(folder)).toEqual(['0.vhd']);
});

it('says nothing of hosts whose plugin is missing or another, and what it was when a host cannot look', async () => {
  const { pool, service } = await scenario({ pool: { vms: 1, hosts: 2, diskMib: 2 } });
  await pool.installPlugin(pool.hosts[1]?.uuid ?? '', null);
  expect((await service.janitor()).findings).toEqual([]);
  const mend = pool.faults.add({ method: 'host.call_plugin', code: 'INTERNAL_ERROR', params: ['no luck'] });
  expect((await service.janitor()).findings).toMatchObject(
    pool.hosts.map(({ uuid }) => ({
      kind: 'staging',
      id: uuid,
      action: 'failed',
      what: expect.stringContaining('no luck'),
    })),
  );
  mend();
});

it('finds nothing to do beside a job that runs', async () => {
  const { pool, service, request, job } = await scenario({ pool: { diskMib: 32 } });
  const id = await request('web-1');
  await job(id, ({ phase }) => phase === 'PollUpload');
  expect((await service.janitor()).findings).toEqual([]);
  expect(await job(id)).toMatchObject({ status: 'succeeded' });
  expect(pool.calls.filter(({ method }) => method === 'Async.VM.snapshot')).toHaveLength(1);
});
