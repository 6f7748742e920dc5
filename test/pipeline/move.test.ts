import { randomUUID } from 'node:crypto';
import { expect, it, vi } from 'vitest';
import { UNSTOPPED } from '../../functions/cancel.ts';
import { XensnapError } from '../../functions/errors.ts';
import { releaseSlotOf } from '../../functions/queue/wake.ts';
import { logIn } from '../local/pool/client.ts';
import { type Scenario, type ScenarioOptions, scenario } from '../support/scenario.ts';

const onShared: ScenarioOptions = {
  pool: { vms: 0 },
  vms: [{ name: 'mover', host: 'xen1', sr: 'nfs', diskMib: 2 }],
  slots: 1,
};

/** Asks for a snapshot while the VM's host is full, so that its job waits there. */
async function queued({ pool, service, request, job }: Scenario, on = 'xen1') {
  const [xen1, xen2] = pool.hosts;
  const { counters } = service.runtime.store;
  const place = `host#demo/${pool.hosts.find(({ name }) => name === on)?.uuid}` as const;
  await counters.take(place, 'other', 1);
  const id = await request('mover');
  await job(id, ({ ticketState }) => ticketState === 'waiting');
  return { id, xen1, xen2, free: () => releaseSlotOf(place, 'other', service.runtime) };
}

it('uploads from the host that it waited for when the VM has moved and the disk is still to be seen', async () => {
  const all = await scenario(onShared);
  const { id, xen2, free } = await queued(all);
  all.pool.vm('mover').migrate(xen2?.uuid ?? '');
  await free();
  expect(await all.job(id)).toMatchObject({ status: 'succeeded', hostName: 'xen1' });
});

it('joins the line of the VM’s new host when the old one has lost sight of the disk', async () => {
  // Not the master: xapi does there what is to be done on a shared SR.
  const all = await scenario({
    ...onShared,
    pool: { ...onShared.pool, hosts: 3 },
    vms: [{ name: 'mover', host: 'xen2', sr: 'nfs', diskMib: 2 }],
  });
  const { id, free } = await queued(all, 'xen2');
  const shared = all.pool.srs.find(({ name }) => name.startsWith('NFS'))?.uuid ?? '';
  const [, xen2, xen3] = all.pool.hosts;
  all.pool.vm('mover').migrate(xen3?.uuid ?? '');
  await all.pool.setPbdPlugged(xen2?.uuid ?? '', shared, false);
  await free();
  expect(await all.job(id)).toMatchObject({ status: 'succeeded', hostName: 'xen3', requeues: 1 });
});

/** Runs a step a second time once it has run, as a retry does whose first run was not heard of. */
const twice = (step: string, answerOf: 'first' | 'second'): NonNullable<ScenarioOptions['service']> => ({
  aroundStep: async (name, _job, run) => {
    const first = await run();
    if (name !== step) return first;
    const second = await run();
    return answerOf === 'first' ? first : second;
  },
});

it('has one ticket, with which it is let through, where it was put in line twice', async () => {
  const all = await scenario({ ...onShared, service: twice('InspectVm', 'first') });
  expect(await all.job(await all.request('mover'))).toMatchObject({ status: 'succeeded' });
});

it('waits in its new host’s line where it was not heard that it was put there', async () => {
  const all = await scenario({
    ...onShared,
    pool: { ...onShared.pool, hosts: 3 },
    vms: [{ name: 'mover', host: 'xen2', sr: 'nfs', diskMib: 2 }],
    service: twice('ConfirmHost', 'second'),
  });
  const { id, free } = await queued(all, 'xen2');
  const shared = all.pool.srs.find(({ name }) => name.startsWith('NFS'))?.uuid ?? '';
  const [, xen2, xen3] = all.pool.hosts;
  const { counters } = all.service.runtime.store;
  const next = `host#demo/${xen3?.uuid}` as const;
  await counters.take(next, 'other', 1);
  all.pool.vm('mover').migrate(xen3?.uuid ?? '');
  await all.pool.setPbdPlugged(xen2?.uuid ?? '', shared, false);
  await free();
  await all.job(id, ({ requeues }) => requeues === 1);
  await all.clock.sleep(10);
  const waiting = await all.job(id, () => true);
  expect([waiting.ticketState, waiting.snapshotSentAt]).toEqual(['waiting', undefined]);
  await releaseSlotOf(next, 'other', all.service.runtime);
  expect(await all.job(id)).toMatchObject({ status: 'succeeded', hostName: 'xen3', requeues: 1 });
});

it('queues again where a run of the step gave its slot back and did not live to say so', async () => {
  const runs: string[] = [];
  const all = await scenario({
    ...onShared,
    service: {
      aroundStep: async (name, jobId, run) => {
        if (name !== 'ConfirmHost') return run();
        const place = `host#demo/${all.pool.hosts[0]?.uuid}` as const;
        const { counters } = all.service.runtime.store;
        if (runs.length === 0) await counters.release(place, jobId);
        const answer = await run();
        runs.push((await counters.holders(place)).join());
        return answer;
      },
    },
  });
  const id = await all.request('mover');
  expect(await all.job(id)).toMatchObject({ status: 'succeeded', requeues: 1 });
  expect(runs).toEqual(['', id]);
});

it('fails with the reason when no host sees the disk any more', async () => {
  const all = await scenario(onShared);
  const { id, xen1, xen2, free } = await queued(all);
  const shared = all.pool.srs.find(({ name }) => name.startsWith('NFS'))?.uuid ?? '';
  for (const host of [xen1, xen2]) await all.pool.setPbdPlugged(host?.uuid ?? '', shared, false);
  await free();
  const done = await all.job(id);
  expect(done).toMatchObject({ status: 'failed', error: { name: 'StorageNotAttached' } });
  expect(done.error?.message).toMatch(/NFS shared storage/);
  expect(all.glance.images()).toEqual([]);
});

it('ends a job whose VM was deleted while it waited', async () => {
  const all = await scenario({
    ...onShared,
    leaves: [
      expect.stringMatching(/^pool: vms: gone: [^;]*"mover"[^;]*$/),
      expect.stringMatching(/^pool: locks: gone: [^;]*$/),
    ],
  });
  const { id, free } = await queued(all);
  const vm = all.pool.vm('mover');
  vm.setPowerState('Halted');
  const admin = await logIn(all.pool.url, all.pool.username, all.pool.password);
  await admin.call('VM.destroy', vm.ref);
  await admin.call('session.logout');
  await free();
  const done = await all.job(id);
  expect(done).toMatchObject({ status: 'failed', error: { name: 'VmGone' } });
  expect(all.glance.images()).toEqual([]);
});

it('leaves the line at once when it is cancelled', async () => {
  const all = await scenario(onShared);
  const { id, free } = await queued(all);
  expect((await all.ask('DELETE', `/snapshots/${id}`)).status).toBe(202);
  expect(await all.job(id)).toMatchObject({ status: 'cancelled', error: { name: 'JobCancelled' } });
  // Its place in the line is dropped when its turn comes, before that of whoever stands behind it.
  const next = await all.request('mover');
  await free();
  expect(await all.job(next)).toMatchObject({ status: 'succeeded' });
  expect(all.glance.images()).toMatchObject([{ id: next }]);
});

it('is cancelled while it stands in line and its execution cannot be stopped, as soon as its turn comes', async () => {
  const all = await scenario(onShared);
  const { id, free } = await queued(all);
  const { executions } = all.service.runtime;
  const stop = vi.spyOn(executions, 'stop').mockRejectedValue(new XensnapError('ServiceUnavailable', 'away'));
  expect((await all.ask('DELETE', `/snapshots/${id}`)).status).toBe(202);
  expect(await all.job(id)).toMatchObject({ status: 'cancelled', error: { name: 'JobCancelled' } });
  await free();
  stop.mockRestore();
  await all.service.tick();
  expect(await all.service.runtime.store.counters.holders(UNSTOPPED)).toEqual([]);
  expect(await all.leftBehind()).toEqual([]);
});

it('leaves a line in which a step that came late had put another ticket than the message has', async () => {
  const all = await scenario(onShared);
  const { id, free } = await queued(all);
  const { jobs } = all.service.runtime.store;
  const { group = '' } = (await jobs.get(id)) ?? {};
  await jobs.queue(id, { group, ticket: randomUUID() });
  await free();
  expect(await all.job(id)).toMatchObject({ status: 'succeeded' });
  expect(await all.leftBehind()).toEqual([]);
});

it('says at once that the VM was reverted while its job queued, and leaves it locked and untagged', async () => {
  // The VM has another disk than before, and its snapshot stays: they are the operator's.
  const all = await scenario({ ...onShared, leaves: 'unknown' });
  const xapi = await logIn(all.pool.url, all.pool.username, all.pool.password);
  const task = await xapi.task('VM.snapshot', all.pool.vm('mover').ref, 'before the update');
  const snapshot = String(/OpaqueRef:[^<]+/.exec(String(task.result)));
  const { id, free } = await queued(all);
  await xapi.call('VM.revert', snapshot);
  await free();
  const done = await all.job(id);
  expect(done).toMatchObject({ status: 'failed', error: { name: 'VmChanged' } });
  expect(done.error?.message).toMatch(
    /^A disk of the VM "mover" was exchanged while the job queued: .*Ask again\.$/,
  );
  const left = (await all.leftBehind()).join();
  expect(left).not.toContain(id);
  expect(left).toContain('"database":"false"');
  await xapi.call('session.logout');
});
