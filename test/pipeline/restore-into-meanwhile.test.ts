import { expect, it } from 'vitest';
import { cancelJob } from '../../functions/cancel.ts';
import { attach, Broken, disksOf, imaged, SPEC, timings } from '../support/into-vm.ts';
import { askRestore, restored } from '../support/restoring.ts';
import { POOL_NAME } from '../support/scenario.ts';

// What happens to a VM, and to its disks, while a restore into it or its undo is under way.

it('gives a VM a disk back that another VM has attached, too', async () => {
  const at = await imaged({
    leaves: 'unknown',
    prepare: (pool) => pool.addVm({ ...SPEC, diskMib: 2, name: 'rescue' }),
    service: {
      timings,
      aroundStep(step, _, run) {
        if (step === 'FinishRestore') throw new Broken('before FinishRestore');
        return run();
      },
    },
  });
  const { pool, service, image, old } = at;
  await attach(at, pool.vm('shop').rootVdi?.ref ?? '', pool.vm('rescue').ref);
  const job = await restored(service, await askRestore(service, image, { into: 'shop' }));
  expect(job).toMatchObject({
    status: 'failed',
    error: { message: expect.stringContaining('FinishRestore') },
  });
  expect(pool.vm('shop').rootVdi?.uuid).toBe(old);
});

it('starts a VM again whose guest goes down although its restore was cancelled', async () => {
  const names = ['told', 'untold'];
  const at = await imaged({
    slots: 2,
    pool: { guestBootSeconds: 1, guestShutdownSeconds: 15 },
    service: { timings: { ...timings, shutdownSeconds: 60 } },
    prepare: async (pool) => {
      for (const name of names) await pool.addVm({ ...SPEC, diskMib: 2, name, powerState: 'Running' });
    },
    // Nobody knows the task whose reference was lost: xapi removes it after an hour.
    leaves: ['pool: tasks: more: "Async.VM.clean_shutdown"'],
  });
  const { pool, service, image } = at;
  const untold = pool.vm('untold').ref;
  const when = ([, vm]: readonly unknown[]) => vm === untold;
  pool.faults.add({ method: 'Async.VM.clean_shutdown', drop: 'after', times: 1, when });
  const power = () => names.map((name) => pool.vm(name).record().power_state);
  const ids = await Promise.all(names.map((into) => askRestore(service, image, { into, shutdown: true })));
  for (const id of ids) {
    const asked = await restored(service, id, (job) => Boolean(job.shutdownTask ?? job.retrying));
    await cancelJob(asked, service.runtime);
  }
  expect(power()).toEqual(['Running', 'Running']);
  await expect.poll(power, { timeout: 60_000 }).toEqual(['Halted', 'Halted']);
  const isOpen = async () => Promise.all(ids.map((id) => service.runtime.store.jobs.restore(id)));
  for (let round = 0; (await isOpen()).some((job) => job?.open) && round < 10; round += 1) {
    await service.janitor();
    await at.clock.sleep(10);
  }
  const ended = await Promise.all(ids.map((id) => restored(service, id)));
  expect(ended.map(({ status }) => status)).toEqual(['cancelled', 'cancelled']);
  expect(power()).toEqual(['Running', 'Running']);
});

it('undoes nothing for a VM that is gone, says so, and destroys what was kept of it when told to', async () => {
  const at = await imaged({ leaves: 'unknown' });
  const { pool, service, image } = at;
  const id = await askRestore(service, image, { into: 'shop' });
  await restored(service, id);
  await service.runtime.withSession(POOL_NAME, (xapi) =>
    xapi.call('VM.destroy', pool.vm('shop').ref as never),
  );
  expect(await at.ask('POST', `/restores/${id}/undo`)).toMatchObject({
    status: 409,
    body: { error: { name: 'VmGone' } },
  });
  expect((await at.ask('GET', '/restores/kept')).body.kept).toMatchObject([{ restore: id }]);
  expect((await at.ask('DELETE', `/restores/${id}/kept`)).status).toBe(204);
  expect((await disksOf(at)).map(({ name }) => name)).toEqual(['shop 0']);
});

it('leaves what an operator makes of the VM while the new disk is in it, and says what it waits for', async () => {
  const names = ['snapshotted', 'started'];
  const done = new Map<string, () => Promise<unknown>>();
  const at = await imaged({
    slots: 2,
    service: {
      timings,
      async aroundStep(step, jobId, run) {
        await (step === 'FinishRestore' && done.get(jobId)?.());
        return run();
      },
    },
    prepare: async (pool) => {
      for (const name of names) await pool.addVm({ ...SPEC, diskMib: 2, name });
    },
    leaves: 'unknown',
  });
  const { pool, service, image } = at;
  const { withSession } = service.runtime;
  const [snapshotted, started] = names.map((name) => pool.vm(name).ref as never);
  const ids = await Promise.all(names.map((into) => askRestore(service, image, { into })));
  done.set(ids[0] ?? '', async () => {
    await withSession(POOL_NAME, (xapi) => xapi.call('VM.snapshot', snapshotted as never, 'of an operator'));
    throw new Broken('then');
  });
  done.set(ids[1] ?? '', () =>
    withSession(POOL_NAME, async (xapi) => {
      for (const operation of ['start', 'start_on'] as const)
        await xapi.call('VM.remove_from_blocked_operations', started as never, operation);
      await xapi.call('VM.start', started as never, false, false);
    }),
  );
  expect(await restored(service, ids[0] ?? '')).toMatchObject({ status: 'failed' });
  const { vms } = await pool.inventory();
  const disks = vms.find(({ name }) => name === 'of an operator')?.disks;
  expect(disks).toEqual([expect.stringMatching(/^0 /)]);
  const waits = await restored(service, ids[1] ?? '', ({ finishedAt }) => finishedAt !== undefined);
  expect(waits.error).toMatchObject({
    name: 'VmNotHalted',
    message: expect.stringContaining('once it is halted'),
  });
  expect(waits.owesBecause).toContain('gets its own back once it is halted');
  pool.vm('started').setPowerState('Halted');
  do await service.janitor();
  while ((await restored(service, ids[1] ?? '', () => true)).open !== undefined);
  expect(pool.vm('started').rootVdi?.uuid).toBe(waits.into?.diskUuid);
});

it('does not give an undo up while its call may still take the disk out', async () => {
  const at = await imaged({
    leaves: 'unknown',
    service: { timings: { ...timings, snapshotLostSeconds: 60 } },
    prepare: (pool) => pool.addVm({ ...SPEC, diskMib: 2, name: 'rescue' }),
  });
  const { pool, service, image, old } = at;
  const id = await askRestore(service, image, { into: 'shop' });
  const { diskUuid } = await restored(service, id);
  pool.faults.add({ method: 'VBD.destroy', drop: 'before', times: 1 });
  const undo = () => at.ask('POST', `/restores/${id}/undo`);
  expect(await undo()).toMatchObject({ status: 503, body: { error: { name: 'XapiReplyLost' } } });
  const kept = await service.runtime.withSession(POOL_NAME, (xapi) => xapi.call('VDI.get_by_uuid', old));
  await attach(at, kept, pool.vm('rescue').ref);
  expect(await undo()).toMatchObject({ status: 409, body: { error: { name: 'StillOwed' } } });
  // Now it arrives.
  const { args } = pool.calls.findLast(({ method }) => method === 'VBD.destroy') ?? {};
  await service.runtime.withSession(POOL_NAME, (xapi) => xapi.call('VBD.destroy', args?.[1] as never));
  expect(pool.vm('shop').rootVdi).toBeUndefined();
  const job = () => restored(service, id, () => true);
  for (let round = 0; (await job()).open !== undefined && round < 10; round += 1) {
    await service.janitor();
    await at.clock.sleep(10);
  }
  const { open, undoneAt } = await job();
  expect([open, undoneAt]).toEqual([undefined, undefined]);
  expect(pool.vm('shop').rootVdi?.uuid).toBe(diskUuid);
});
