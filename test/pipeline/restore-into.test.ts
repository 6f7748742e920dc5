import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { cancelJob } from '../../functions/cancel.ts';
import type { RestoreJob } from '../../functions/job.ts';
import { destroyKept } from '../../functions/kept-disks.ts';
import { destroyUntilGone } from '../../functions/pool/destroy.ts';
import { nameAtWork } from '../../functions/restored.ts';
import { undoRestore } from '../../functions/undo-restore.ts';
import type { Fault } from '../../local/pool/pool.ts';
import type { Session } from '../../xapi/session.ts';
import { Broken, disksOf, type Imaged, imaged, SPEC, timings } from '../support/into-vm.ts';
import { askRestore, restored, takeAway } from '../support/restoring.ts';
import { POOL_NAME, type Scenario } from '../support/scenario.ts';

/** The VM as its operator sees it: what it is, and how its disks are attached. */
async function seen({ pool, service }: Scenario) {
  return service.runtime.withSession(POOL_NAME, async (xapi) => {
    const ref = await xapi.call('VM.get_by_uuid', pool.vm('shop').uuid);
    const { uuid, name_label, power_state, blocked_operations } = await xapi.call('VM.get_record', ref);
    const vifs = Object.values(await xapi.call('VIF.get_all_records_where', `field "VM" = "${ref}"`));
    const vbds = Object.values(await xapi.call('VBD.get_all_records_where', `field "VM" = "${ref}"`));
    return {
      ...{ uuid, name_label, power_state, blocked_operations },
      macs: vifs.map(({ MAC }) => MAC),
      vbds: vbds
        .map(({ userdevice, bootable, mode, type, unpluggable, other_config }) => ({
          ...{ userdevice, bootable, mode, type, unpluggable, other_config },
        }))
        .toSorted((a, b) => a.userdevice.localeCompare(b.userdevice)),
    };
  });
}

it('exchanges the disk of a VM that is there, keeps the old one, and exchanges them back when told to', async () => {
  const at = await imaged({ pool: { keepModels: true } });
  const { pool, service, image, old } = at;
  const before = await seen(at);
  const then = await readFile(pool.modelPath(old));
  await pool.vm('shop').writeSome();
  const asked = await at.ask('POST', '/restores', { image, into: 'shop', device: 0 });
  expect(asked).toMatchObject({ status: 202, body: { vm: { name: 'shop' }, into: { diskUuid: old } } });
  const id: string = asked.body.id;
  for (const [path, body] of [
    ['/snapshots', { vm: 'shop' }],
    ['/restores', { image, into: 'shop' }],
  ] as const)
    expect(await at.ask('POST', path, body)).toMatchObject({
      status: 409,
      body: {
        error: { name: 'SnapshotInProgress', jobId: id, message: expect.stringContaining('restored') },
      },
    });
  expect((await at.ask('GET', '/restores')).body.restores).toHaveLength(1);
  const done = await restored(service, id);
  expect(done).toMatchObject({ status: 'succeeded', committed: true });
  expect(done.warnings).toBeUndefined();
  expect(await seen(at)).toEqual(before);
  const own = done.diskUuid ?? '';
  expect(pool.vm('shop').rootVdi?.uuid).toBe(own);
  expect((await readFile(pool.modelPath(own))).subarray(0, then.length).equals(then)).toBe(true);
  expect((await disksOf(at)).find(({ uuid }) => uuid === own)).toMatchObject({
    name: 'shop 0',
    otherConfig: {},
  });
  const kept = { restore: id, uuid: old, device: '0', vmUuid: pool.vm('shop').uuid, pool: POOL_NAME };
  const name = expect.stringMatching(/^\[before the restore of shop-.*\] shop 0$/);
  const list = async () => (await at.ask('GET', '/restores/kept')).body;
  expect(await list()).toMatchObject({ kept: [{ ...kept, name, virtualBytes: 4 * 2 ** 20 }], gaps: [] });
  // It is the operator's from now on, whatever else is written on it.
  await service.runtime.withSession(POOL_NAME, async (xapi) => {
    const disk = await xapi.call('VDI.get_by_uuid', old);
    const { name_label } = await xapi.call('VDI.get_record', disk);
    await xapi.call('VDI.set_name_label', disk, nameAtWork(done));
    await xapi.call('VDI.add_to_other_config', disk, `xensnap:${id}`, service.runtime.config.installation);
    expect(await service.janitor()).toMatchObject({ findings: [] });
    expect(await destroyUntilGone(xapi, undefined, [old], { exported: true, whole: true })).toEqual([old]);
    await xapi.call('VDI.remove_from_other_config', disk, `xensnap:${id}`);
    await xapi.call('VDI.set_name_label', disk, name_label);
  });
  expect((await at.job(await at.request('shop', { force: true }))).status).toBe('succeeded');

  const undo = () => at.ask('POST', `/restores/${id}/undo`);
  const undone = await undo();
  const when = undone.body.into.undoneAt;
  expect([undone.status, undone.body.owes, typeof when]).toEqual([200, [], 'string']);
  expect(await undo()).toMatchObject({ status: 200, body: { into: { undoneAt: when } } });
  expect(await seen(at)).toEqual(before);
  expect(pool.vm('shop').rootVdi?.uuid).toBe(old);
  const now = { ...kept, uuid: own, name: expect.stringMatching(/^\[restored of /) };
  expect((await list()).kept).toMatchObject([now]);
  expect(await service.janitor()).toMatchObject({ findings: [] });
  const destroy = async () => (await at.ask('DELETE', `/restores/${id}/kept`)).status;
  expect([await destroy(), await destroy()]).toEqual([204, 204]);
  expect(await list()).toEqual({ kept: [], gaps: [] });
});

/** Undoes a restore, and destroys what it had brought. */
async function takeBack(at: Scenario, id: string): Promise<void> {
  expect((await at.ask('POST', `/restores/${id}/undo`)).status).toBe(200);
  expect((await at.ask('DELETE', `/restores/${id}/kept`)).status).toBe(204);
}

it('puts the image of a data disk in the place of no other disk of its VM, unless it is told to', async () => {
  const at = await imaged({}, { extraDisks: [2] });
  const data = await at.request('shop', { force: true, device: '1' });
  expect(await at.job(data)).toMatchObject({ status: 'succeeded' });
  const { images } = (await at.ask('GET', '/images?vm=shop')).body;
  expect(images.map(({ device }: { device: string }) => device).toSorted()).toEqual(['0', '1']);
  expect(await at.ask('POST', '/restores', { image: data, into: 'shop' })).toMatchObject({
    status: 400,
    body: {
      error: {
        name: 'BadRequest',
        message:
          'device: the image is of the disk at 1 of the VM "shop", and the one at 0 would be exchanged. Name the one that is meant.',
      },
    },
  });
  const { body } = await at.ask('POST', '/restores', { image: data, into: 'shop', device: '1' });
  expect(await restored(at.service, body.id)).toMatchObject({ status: 'succeeded', into: { device: '1' } });
  expect(at.pool.vm('shop').rootVdi?.uuid).toBe(at.old);
  await takeBack(at, body.id);
});

it('warns where the image is of another VM than the one whose disk it takes', async () => {
  const at = await imaged({
    prepare: async (pool) => {
      await pool.addVm({ ...SPEC, name: 'other' });
    },
  });
  const { body } = await at.ask('POST', '/restores', { image: at.image, into: 'other' });
  const done = await restored(at.service, body.id);
  expect([done.status, done.warnings]).toEqual([
    'succeeded',
    ['The image is of another VM, "shop", than "other", whose disk it takes.'],
  ]);
  await takeBack(at, body.id);
});

/** VMs that one image is restored into at the same time, each with a trouble of its own. */
async function intoEach(
  troubles: readonly ((at: Imaged, vm: { name: string; ref: string }) => void)[],
  breaks: (step: string, vm: number) => 'before' | 'after' | 'on failure' | undefined,
) {
  const byJob = new Map<string, number>();
  const names = troubles.map((_, index) => `vm-${index}`);
  const at = await imaged({
    slots: troubles.length,
    prepare: async (pool) => {
      for (const name of names) await pool.addVm({ ...SPEC, diskMib: 2, name });
    },
    service: {
      timings,
      async aroundStep(step, jobId, run) {
        const index = byJob.get(jobId);
        const when = index === undefined ? undefined : breaks(step, index);
        if (when === 'before') throw new Broken(`before ${step}`);
        const result = await run().catch((error: Error) => {
          throw when === 'on failure' ? new Broken(error.message) : error;
        });
        if (when === 'after') throw new Broken(`after ${step}`);
        return result;
      },
    },
  });
  const ids: string[] = [];
  for (const [index, plant] of troubles.entries()) {
    const name = names[index] ?? '';
    plant(at, at.pool.vm(name));
    const id = await askRestore(at.service, at.image, { into: name });
    byJob.set(id, index);
    ids.push(id);
  }
  return { ...at, ids };
}

/** Strikes a call that is about one VM or an attachment of it. */
function strike(method: string, fault: Omit<Fault, 'method' | 'when'>) {
  return ({ pool }: Imaged, { ref }: { ref: string }) => {
    const isOf = (argument: unknown) =>
      argument === ref ||
      (typeof argument === 'string'
        ? pool.records('VBD')[argument]?.VM === ref
        : (argument as { VM?: string })?.VM === ref);
    pool.faults.add({ times: 1, ...fault, method, when: ([, argument]) => isOf(argument) });
  };
}

/** What happens to one VM, where its restore breaks, and what becomes of it. */
type Case = readonly [
  trouble: ReturnType<typeof strike> | undefined,
  breaks: Readonly<Record<string, 'before' | 'after' | 'on failure'>>,
  becomes: 'succeeded' | 'failed',
];

const lost = { drop: 'after' } as const;
const CASES: readonly Case[] = [
  [undefined, { SwapDisk: 'after' }, 'failed'],
  [undefined, { FinishRestore: 'before' }, 'failed'],
  [strike('VM.add_to_blocked_operations', lost), { SwapDisk: 'on failure' }, 'failed'],
  [strike('VBD.destroy', { drop: 'before' }), { SwapDisk: 'on failure' }, 'failed'],
  [strike('VBD.destroy', lost), { SwapDisk: 'on failure' }, 'failed'],
  [strike('VBD.create', { code: 'INTERNAL_ERROR' }), { SwapDisk: 'on failure' }, 'failed'],
  [strike('VBD.create', lost), { SwapDisk: 'on failure' }, 'failed'],
  // What puts the disk back fails, too.
  [strike('VBD.destroy', { skip: 1, ...lost }), { FinishRestore: 'before' }, 'failed'],
  [strike('VBD.create', { skip: 1, ...lost }), { FinishRestore: 'before', SettleSwap: 'before' }, 'failed'],
  [strike('VBD.destroy', lost), {}, 'succeeded'],
  [strike('VBD.create', lost), {}, 'succeeded'],
  [strike('VM.remove_from_blocked_operations', lost), { FinishRestore: 'after' }, 'succeeded'],
];

it('gives each VM its disk back wherever its restore breaks, and otherwise the one that was restored', async () => {
  const at = await intoEach(
    CASES.map(([trouble]) => trouble ?? (() => undefined)),
    (step, vm) => CASES[vm]?.[1][step],
  );
  const jobs = await Promise.all(
    at.ids.map((id) => restored(at.service, id, ({ finishedAt }) => finishedAt !== undefined)),
  );
  await at.service.settled();
  // A call whose answer was lost may be late, which a round that comes too soon waits for.
  const isOpen = (job?: RestoreJob) => job?.open !== undefined;
  const now = () => Promise.all(at.ids.map((id) => at.service.runtime.store.jobs.restore(id)));
  for (let round = 0; (round === 0 || (await now()).some(isOpen)) && round < 10; round += 1) {
    await at.service.janitor();
    await at.clock.sleep(10);
  }
  const ended = await Promise.all(at.ids.map((id) => restored(at.service, id)));
  expect(jobs.map(({ status }) => status)).toEqual(CASES.map(([, , becomes]) => becomes));
  expect(ended.map(({ debts }) => debts)).toEqual(CASES.map(() => undefined));
  for (const job of ended) {
    const has = at.pool.vm(job.into?.name ?? '').rootVdi?.uuid;
    expect(has, job.error?.message).toBe(job.committed ? job.diskUuid : job.into?.diskUuid);
    if (job.committed) await takeAway(at.service, job);
  }
}, 300_000);

it('refuses beforehand what could come to nothing, and leaves nothing of it', async () => {
  const { service, image } = await imaged({
    prepare: async (pool) => {
      for (const vm of [
        { name: 'busy', powerState: 'Running' },
        { name: 'deaf', powerState: 'Running', agent: false },
        { name: 'asleep', powerState: 'Suspended' },
        { name: 'golden', kind: 'template' },
        { name: 'empty', kind: 'noDisk' },
      ] as const)
        await pool.addVm({ ...SPEC, diskMib: 1, ...vm });
    },
  });
  const refused = (into: string | undefined, more: Parameters<typeof askRestore>[2] = {}) =>
    askRestore(service, image, { ...(into !== undefined && { into }), ...more }).then(
      () => 'taken',
      (error: Error) => `${error.name}: ${error.message}`,
    );
  expect(await refused('nobody')).toMatch(/^VmNotFound: /);
  expect(await refused('shop', { allows: () => false })).toMatch(/^VmNotFound: /);
  expect(await refused('golden')).toMatch(/^VmIsTemplate: /);
  expect(await refused('empty')).toMatch(/^VmHasNoDisk: /);
  expect(await refused('busy')).toMatch(/^VmNotHalted: .* is running, .*--shutdown/);
  expect(await refused('deaf', { shutdown: true })).toMatch(/^VmNotHalted: .* cannot be asked/);
  expect(await refused('asleep', { shutdown: true })).toMatch(/^VmNotHalted: .* is suspended, /);
  expect(await refused('shop', { device: '7' })).toMatch(/^BadRequest: device: .* has no disk at 7/);
  expect(await refused('shop', { name: 'other' })).toMatch(/^BadRequest: name: /);
  expect(await refused('shop', { macs: 'new' })).toMatch(/^BadRequest: macs: /);
  expect(await refused('shop', { disksOnly: true })).toMatch(/^BadRequest: disksOnly: /);
  expect(await refused('shop', { test: true })).toMatch(/^BadRequest: into: /);
  expect(await refused(undefined, { shutdown: true })).toMatch(/^BadRequest: shutdown: /);
  expect(await service.runtime.store.jobs.countOpen()).toBe(0);
});

it('has a running VM shut down when its disk is there, and starts it again, whatever comes of it', async () => {
  const at = await imaged({ pool: { guestBootSeconds: 1 } }, { powerState: 'Running' });
  const { pool, service, image, old } = at;
  const vm = () => pool.vm('shop').record();
  const never = Promise.withResolvers<void>();
  const forget = pool.faults.add({ method: 'VM.clean_shutdown', hold: never.promise });
  const stuck = await askRestore(service, image, { into: 'shop', shutdown: true });
  const undoing = await restored(service, stuck, ({ phase }) => phase === 'SettleSwap');
  expect([vm().power_state, undoing.failure?.name]).toEqual(['Running', 'ShutdownFailed']);
  forget();
  never.resolve();
  expect(await restored(service, stuck)).toMatchObject({
    status: 'failed',
    error: { name: 'ShutdownFailed' },
  });
  expect([vm().power_state, pool.vm('shop').rootVdi?.uuid]).toEqual(['Running', old]);

  await expect.poll(() => String(vm().allowed_operations), { timeout: 60_000 }).toContain('clean_shutdown');
  const id = await askRestore(service, image, { into: 'shop', shutdown: true });
  const done = await restored(service, id);
  expect(done).toMatchObject({ status: 'succeeded' });
  expect([vm().power_state, pool.vm('shop').rootVdi?.uuid]).toEqual(['Running', done.diskUuid]);
  const { runtime } = service;
  const undo = (more = {}) => undoRestore(id, more, runtime);
  await expect(undo()).rejects.toMatchObject({
    name: 'VmNotHalted',
    message: 'The VM "shop" is running, and its disk can only be exchanged while it is halted: shut it down.',
  });
  await expect(undo({ allows: () => false })).rejects.toMatchObject({ name: 'VmNotFound' });

  pool.vm('shop').setPowerState('Halted');
  // What the answer was lost of is gone on with by the same request; what nobody asks for again, by the janitor.
  pool.faults.add({ method: 'VBD.destroy', drop: 'after', times: 1 });
  pool.faults.add({ method: 'VBD.create', code: 'INTERNAL_ERROR', params: ['x'], times: 1 });
  await expect(undo()).rejects.toMatchObject({ name: 'XapiReplyLost' });
  expect(pool.vm('shop').rootVdi).toBeUndefined();
  expect(Object.keys(vm().blocked_operations as object)).toContain('start');
  await expect(undo()).rejects.toMatchObject({ name: 'XapiFailure' });
  expect((await service.janitor()).findings).toMatchObject([{ kind: 'job', id, action: 'removed' }]);
  expect(pool.vm('shop').rootVdi?.uuid).toBe(old);
  expect(vm().blocked_operations).toEqual({});
  expect((await runtime.store.jobs.restore(id))?.undoneAt).toBeDefined();
  await destroyKept(id, runtime);
  pool.vm('shop').setPowerState('Running');
});

it('gives no VM a disk back that a call without an answer may still destroy', async () => {
  const at = await imaged({
    service: { timings: { ...timings, longCallSeconds: 2 } },
    // The disk that was there, and in its place the one that was restored.
    leaves: ['vms', 'vdis', 'files'].map((part) => expect.stringMatching(`^pool: ${part}: more: .*gone: `)),
  });
  const { pool, service, image, old } = at;
  const { runtime } = service;
  const done = await restored(service, await askRestore(service, image, { into: 'shop' }));
  // The SR is busy: the call waits in the pool.
  const sr = done.srUuid ?? '';
  while (!pool.isSrLocked(sr) && (await pool.stepCoalescer(sr)) !== undefined);
  expect(pool.isSrLocked(sr)).toBe(true);
  await expect(destroyKept(done.id, runtime)).rejects.toMatchObject({ name: 'XapiReplyLost' });
  await expect(undoRestore(done.id, {}, runtime)).rejects.toMatchObject({
    name: 'RestoreConflict',
    message: expect.stringContaining('may still do until'),
  });
  while ((await pool.stepCoalescer(sr)) !== undefined);
  await expect.poll(async () => (await disksOf(at)).some(({ uuid }) => uuid === old)).toBe(false);
  expect(pool.vm('shop').rootVdi?.uuid).toBe(done.diskUuid);
  await destroyKept(done.id, runtime);
  expect((await runtime.store.jobs.restore(done.id))?.keptGoneAt).toBeDefined();
});

it('starts a VM again whose guest shuts down after all, when its restore was cancelled meanwhile', async () => {
  const at = await imaged({ pool: { guestBootSeconds: 1 } }, { powerState: 'Running', shutdownSeconds: 60 });
  const { pool, service, image, old } = at;
  const vm = () => pool.vm('shop').record();
  const id = await askRestore(service, image, { into: 'shop', shutdown: true });
  const asked = await restored(service, id, ({ shutdownTask }) => shutdownTask !== undefined);
  await cancelJob(asked, service.runtime, 'somebody');
  // Whoever sees it halted first may start it himself.
  await expect.poll(() => vm().blocked_operations, { timeout: 60_000 }).toEqual({});
  const ended = await restored(service, id, ({ finishedAt }) => finishedAt !== undefined);
  expect([ended.status, ended.debts?.has('swap'), vm().power_state]).toEqual(['cancelled', true, 'Running']);
  await expect.poll(() => vm().power_state, { timeout: 60_000 }).toBe('Halted');
  while ((await restored(service, id, () => true)).open !== undefined) await service.janitor();
  expect([vm().power_state, pool.vm('shop').rootVdi?.uuid]).toEqual(['Running', old]);
});

it('takes no disk out of a halted VM that something is at: a snapshot that is being made, a start', async () => {
  const at = await imaged({ pool: { vmStartSeconds: 30 } });
  const { pool, service, image, old } = at;
  const { ref } = pool.vm('shop');
  const goOn = Promise.withResolvers<void>();
  pool.faults.add({ method: 'VDI.snapshot', hold: goOn.promise });
  const asOperator = <T>(use: (xapi: Session) => Promise<T>) => service.runtime.withSession(POOL_NAME, use);
  const task = await asOperator((xapi) => xapi.call('Async.VM.snapshot', ref as never, 'theirs'));
  const id = await askRestore(service, image, { into: 'shop' });
  const waiting = await restored(service, id, ({ retrying }) => retrying?.state === 'SwapDisk');
  expect(waiting.retrying).toMatchObject({ name: 'XapiBusy', message: expect.stringContaining('snapshot') });
  expect(pool.vm('shop').rootVdi?.uuid).toBe(old);
  goOn.resolve();
  const done = await restored(service, id);
  expect(done).toMatchObject({ status: 'succeeded' });
  await asOperator(async (xapi) => {
    const [snapshot = ''] = pool.vm('shop').record().snapshots as string[];
    const vbds = await xapi.call('VBD.get_all_records_where', `field "VM" = "${snapshot}"`);
    const disks = Object.values(vbds).flatMap(({ type, VDI }) => (type === 'Disk' ? [VDI] : []));
    for (const disk of disks) await xapi.call('VDI.destroy', disk);
    await xapi.call('VM.destroy', snapshot as never);
    await xapi.call('task.destroy', task);
  });

  const start = await asOperator((xapi) => xapi.call('Async.VM.start', ref as never, false, false));
  await expect.poll(() => pool.vm('shop').record().current_operations).not.toEqual({});
  const undone = await undoRestore(id, {}, service.runtime).catch((error: Error) => error.name);
  expect(undone).toBe('XapiBusy');
  expect((await service.runtime.store.jobs.restore(id))?.undoing).toBeUndefined();
  await expect.poll(() => pool.vm('shop').record().power_state, { timeout: 60_000 }).toBe('Running');
  expect(pool.vm('shop').rootVdi?.uuid).toBe(done.diskUuid);
  await asOperator((xapi) => xapi.call('task.destroy', start));
  await takeAway(service, done);
});

it('touches nothing of a VM that was changed while the image was read', async () => {
  const at = await imaged({
    slots: 2,
    prepare: async (pool) => {
      for (const name of ['swapped', 'started']) await pool.addVm({ ...SPEC, diskMib: 2, name });
    },
  });
  const { pool, service, glance, image } = at;
  const goOn = Promise.withResolvers<void>();
  glance.faults.add({ method: 'GET', path: /\/file$/, hold: goOn.promise });
  const ask = (into: string) => askRestore(service, image, { into });
  const ids = [await ask('swapped'), await ask('started')];
  pool.vm('started').setPowerState('Running');
  const { ref } = pool.vm('swapped');
  const [own, other] = [pool.vm('swapped').rootVdi?.ref, pool.vm('shop').rootVdi?.ref];
  const exchange = (disk = '') =>
    service.runtime.withSession(POOL_NAME, async (xapi) => {
      const vbds = await xapi.call('VBD.get_all_records_where', `field "VM" = "${ref}"`);
      const [vbd, record] = Object.entries(vbds).find(([, { type }]) => type === 'Disk') ?? [];
      await xapi.call('VBD.destroy', vbd as never);
      await xapi.call('VBD.create', { ...record, VDI: disk, empty: false } as never);
    });
  await exchange(other);
  goOn.resolve();
  const [swapped, started] = await Promise.all(ids.map((id) => restored(service, id)));
  expect(swapped).toMatchObject({ status: 'failed', error: { name: 'VmChanged' } });
  expect(started).toMatchObject({ status: 'failed', error: { name: 'VmNotHalted' } });
  expect(pool.vm('swapped').rootVdi?.ref).toBe(other);
  expect(pool.calls.some(({ method }) => method === 'VM.add_to_blocked_operations')).toBe(false);
  await exchange(own);
  pool.vm('started').setPowerState('Halted');
});

it('gives a VM its disk back that has none at the moment, when its restore is cancelled or the service is killed', async () => {
  const at = await imaged({
    restarts: true,
    slots: 2,
    prepare: async (pool) => {
      for (const name of ['cancelled', 'killed']) await pool.addVm({ ...SPEC, diskMib: 2, name });
    },
  });
  const { pool, service, image } = at;
  const names = ['cancelled', 'killed'];
  const forget = pool.faults.add({
    method: 'VBD.create',
    code: 'INTERNAL_ERROR',
    params: ['x'],
    when: ([, vbd]) => names.some((name) => pool.vm(name).ref === (vbd as { VM: string }).VM),
  });
  const ids = await Promise.all(names.map((into) => askRestore(service, image, { into })));
  const [first] = await Promise.all(
    ids.map((id) => restored(service, id, ({ retrying }) => retrying?.state === 'SwapDisk')),
  );
  expect(names.map((name) => pool.vm(name).rootVdi)).toEqual([undefined, undefined]);
  forget();
  if (first) await cancelJob(first, service.runtime, 'somebody');
  const restarted = await at.restart();
  const ended = await Promise.all(ids.map((id) => restored(restarted, id)));
  expect(ended.map(({ status, error }) => [status, error?.name])).toEqual([
    ['cancelled', 'JobCancelled'],
    ['failed', 'Interrupted'],
  ]);
  expect(ended.map(({ into }) => into?.diskUuid)).toEqual(names.map((name) => pool.vm(name).rootVdi?.uuid));

  const [late = '', own = ''] = [pool.vm('killed').ref, ids[1]];
  await restarted.runtime.withSession(POOL_NAME, (xapi) =>
    xapi.call(
      'VM.add_to_blocked_operations',
      late as never,
      'start',
      `xensnap is restoring this VM (${own})`,
    ),
  );
  const { findings } = await restarted.janitor();
  expect(findings).toMatchObject([{ id: pool.vm('killed').uuid, action: 'removed' }]);
});
