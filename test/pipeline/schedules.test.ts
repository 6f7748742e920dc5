import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { releaseSlotOf } from '../../functions/queue/wake.ts';
import type { Run } from '../../functions/schedules/run.ts';
import { type ScheduleWish, saveSchedule } from '../../functions/schedules/save.ts';
import { tick } from '../../functions/schedules.ts';
import { logIn } from '../local/pool/client.ts';
import { type Scenario, scenario } from '../support/scenario.ts';

const HOUR = 3_600_000;
const small = { pool: { vms: 1, diskMib: 2 } };
const vmOf = ({ pool }: Scenario, index = 0) => pool.vms()[index]?.uuid ?? '';

/** A schedule that was due so many minutes ago, and hourly before and after. */
async function dueSince(all: Scenario, minutes: number, wish: Partial<ScheduleWish> = {}): Promise<string> {
  const { runtime } = all.service;
  const then = new Date(all.clock.now().getTime() - HOUR - minutes * 60_000);
  const of = wish.selector ? {} : { vm: vmOf(all) };
  const { id } = await saveSchedule(
    randomUUID(),
    { timing: { rate: '1 hour' }, keep: 3, backupType: 'hourly', ...of, ...wish },
    { ...runtime, clock: { now: () => then } },
  );
  return id;
}

/** The runs of a schedule, by nominal time and VM. */
async function runsOf({ service, clock }: Scenario, id: string): Promise<Run[]> {
  const days = [-1, 0, 1].map((day) => new Date(clock.now().getTime() + day * 24 * HOUR).toISOString());
  const found: Run[] = [];
  for (const day of days)
    for await (const run of service.runtime.store.runs.ofDay(day.slice(0, 10)))
      if (run.scheduleId === id) found.push(run);
  return found;
}

/** The runs once all have ended. The tick looks again and again, as it does every minute. */
async function endedRuns(all: Scenario, id: string): Promise<Run[]> {
  for (;;) {
    await all.service.tick();
    const runs = await runsOf(all, id);
    if (runs.length > 0 && runs.every(({ outcome }) => outcome !== undefined)) {
      await settled(all, runs);
      return runs;
    }
    await all.clock.sleep(2);
  }
}

/** A run may have its outcome a moment before its job is over. */
async function settled({ service, job }: Scenario, runs: readonly Run[]): Promise<void> {
  for (const { jobId = '' } of runs) if (await service.runtime.store.jobs.get(jobId)) await job(jobId);
}

const outcomes = (runs: readonly Run[]) => runs.map(({ outcome, reason }) => [outcome, reason?.name]);

it('makes one backup of a time whose trigger comes twice, also at once, and after the job', async () => {
  const all = await scenario(small);
  const id = await dueSince(all, 1, { actor: 'keystone:alice@a' });
  await Promise.all([all.service.tick(), all.service.tick(), all.service.tick()]);
  const runs = await endedRuns(all, id);
  expect(outcomes(runs)).toEqual([['succeeded', undefined]]);
  await all.service.tick();
  expect(await runsOf(all, id)).toEqual(runs);
  const job = await all.job(runs[0]?.jobId ?? '');
  expect(job).toMatchObject({
    ...{ status: 'succeeded', actor: 'keystone:alice@a' },
    run: { scheduleId: id, nominal: runs[0]?.nominal },
  });
  expect(all.glance.images().map((image) => image.id)).toEqual([job.id]);
  expect(await all.service.runtime.store.backups.last('demo', vmOf(all))).toMatchObject({
    imageId: job.id,
    type: 'hourly',
  });
});

it('backs up a VM whose name Glance would not take, by the disk and in the form that the schedule says', async () => {
  const all = await scenario({
    pool: { vms: 0 },
    vms: [
      {
        name: `${'n'.repeat(248)}🚀`,
        disks: [
          { mib: 2, bootable: true },
          { mib: 4, bootable: true },
        ],
        baseCopies: 2,
      },
    ],
  });
  const id = await dueSince(all, 1, { device: '1', flatten: true });
  expect(outcomes(await endedRuns(all, id))).toEqual([['succeeded', undefined]]);
  expect(all.glance.images()).toMatchObject([
    { name: expect.stringMatching(/^n{237}-2.*Z$/), min_disk: 1, properties: { xensnap_verified: 'true' } },
  ]);
  const [run] = await runsOf(all, id);
  expect(await all.job(run?.jobId ?? '')).toMatchObject({ device: '1', readsChain: false });
});

it('finishes what a tick that died half-way has begun, with the same job', async () => {
  const all = await scenario(small);
  const id = await dueSince(all, 1);
  const died = tick(all.service.runtime, () => Promise.reject(new Error('the Lambda is gone')));
  await died;
  const [begun] = await runsOf(all, id);
  expect(begun?.outcome).toBeUndefined();
  const runs = await endedRuns(all, id);
  expect(runs).toMatchObject([{ outcome: 'succeeded', jobId: begun?.jobId }]);
});

it('makes up the newest run after the service was down, and reports the ones before as skipped', async () => {
  const all = await scenario(small);
  const runs = await endedRuns(all, await dueSince(all, 3 * 60 + 10));
  expect(outcomes(runs)).toEqual([
    ['skipped', 'RunMissed'],
    ['skipped', 'RunMissed'],
    ['skipped', 'RunMissed'],
    ['succeeded', undefined],
  ]);
  expect(all.glance.images()).toHaveLength(1);
});

it('skips a run when more than half of the time to the next has passed', async () => {
  const all = await scenario(small);
  const id = await dueSince(all, 40);
  const runs = await endedRuns(all, id);
  expect(runs).toMatchObject([
    {
      outcome: 'skipped',
      vmUuid: vmOf(all),
      reason: { name: 'RunMissed', message: expect.stringContaining('half') },
    },
  ]);
  expect(all.glance.images()).toEqual([]);
  const { nextAt = '' } = (await all.service.runtime.store.schedules.get(id)) ?? {};
  expect(Date.parse(nextAt)).toBeGreaterThan(all.clock.now().getTime());
});

it('disables the schedule of a VM that is gone, and says so', async () => {
  const all = await scenario({
    pool: { vms: 2, diskMib: 2 },
    // Whoever destroys a VM leaves its disk.
    leaves: [
      expect.stringMatching(/^pool: vdis: more: [^;]*"short-lived 0"[^;]*$/),
      expect.stringMatching(/^pool: files: more: [^;]*$/),
    ],
  });
  const { service, pool } = all;
  const { uuid } = await pool.addVm({ name: 'short-lived', diskMib: 2, powerState: 'Halted' });
  const id = await dueSince(all, 1, { vm: uuid });
  await service.runtime.withSession('demo', async (xapi) =>
    xapi.call('VM.destroy', await xapi.call('VM.get_by_uuid', uuid)),
  );
  expect(outcomes(await endedRuns(all, id))).toEqual([['failed', 'VmNotFound']]);
  const schedule = await service.runtime.store.schedules.get(id);
  expect(schedule).toMatchObject({ enabled: false, disabledReason: expect.stringContaining('is gone') });
  expect(schedule).not.toHaveProperty('nextAt');
});

it('makes a backup of each VM that a selector names when it is due', async () => {
  const all = await scenario({
    pool: { vms: 1, diskMib: 2 },
    vms: [
      { name: 'db-1', tags: ['prod'], diskMib: 2 },
      { name: 'db-2', tags: ['prod'], diskMib: 2 },
      { name: 'db-3', diskMib: 2 },
    ],
  });
  const id = await dueSince(all, 1, {
    selector: { tag: 'prod', namePattern: 'db-*' },
    format: 'raw',
  });
  const runs = await endedRuns(all, id);
  expect(runs.map(({ vmName, outcome }) => [vmName, outcome]).sort()).toEqual([
    ['db-1', 'succeeded'],
    ['db-2', 'succeeded'],
  ]);
  expect(all.glance.images().map((image) => image.disk_format)).toEqual(['raw', 'raw']);
  const none = await endedRuns(all, await dueSince(all, 1, { selector: { tag: 'nobody' } }));
  expect(outcomes(none)).toEqual([['skipped', 'NothingSelected']]);
});

it('asks again while a pool does not answer, and fails the run only when its window is over', async () => {
  const all = await scenario(small);
  const { service } = all;
  const away = { ...service.runtime, withSession: () => Promise.reject(unreachable()) };
  const id = await dueSince(all, 1);
  await tick(away);
  await tick(away);
  const [run] = await runsOf(all, id);
  expect(run).toMatchObject({ problem: { name: 'PoolUnreachable' } });
  expect(run?.outcome).toBeUndefined();
  // At the window's end.
  const late = { now: () => new Date(Date.parse(run?.startBefore ?? '') + 1000) };
  await tick({ ...away, clock: late });
  expect(await service.runtime.store.runs.get(run as Run)).toMatchObject({
    outcome: 'failed',
    reason: { name: 'PoolUnreachable' },
  });
  // And the other way round: it answers again in time.
  const other = await dueSince(all, 1);
  await tick(away);
  expect(outcomes(await endedRuns(all, other))).toEqual([['succeeded', undefined]]);
});

it('asks with a new job when Glance did not take the image', async () => {
  const all = await scenario(small);
  all.glance.faults.add({ method: 'POST', path: /^\/v2\/images$/, status: 503, times: 1 });
  const id = await dueSince(all, 1);
  await all.service.tick();
  const [first] = await runsOf(all, id);
  const runs = await endedRuns(all, id);
  expect(outcomes(runs)).toEqual([['succeeded', undefined]]);
  expect(runs[0]?.jobId).not.toBe(first?.jobId);
  expect(all.glance.images().map((image) => image.id)).toEqual([runs[0]?.jobId]);
});

it('asks with a new job where the disks of the VM were exchanged while its first one queued', async () => {
  // The VM has another disk than before, and its snapshot stays: they are the operator's.
  const all = await scenario({ ...small, slots: 1, leaves: 'unknown' });
  const [vm] = all.pool.vms();
  const { runtime } = all.service;
  const xapi = await logIn(all.pool.url, all.pool.username, all.pool.password);
  const task = await xapi.task('VM.snapshot', vm?.ref ?? '', 'before the update');
  const snapshot = String(/OpaqueRef:[^<]+/.exec(String(task.result)));
  const places = all.pool.hosts.map(({ uuid }) => `host#demo/${uuid}` as const);
  for (const place of places) await runtime.store.counters.take(place, 'other', 1);
  const id = await dueSince(all, 1);
  await all.service.tick();
  const [first] = await runsOf(all, id);
  await all.job(first?.jobId ?? '', ({ ticketState }) => ticketState === 'waiting');
  await xapi.call('VM.revert', snapshot);
  for (const place of places) await releaseSlotOf(place, 'other', runtime);
  const runs = await endedRuns(all, id);
  expect(outcomes(runs)).toEqual([['succeeded', undefined]]);
  expect(runs[0]?.jobId).not.toBe(first?.jobId);
  expect(await all.job(first?.jobId ?? '')).toMatchObject({ status: 'failed', error: { name: 'VmChanged' } });
  await xapi.call('session.logout');
});

it('skips a run whose VM is busy until the next is due', async () => {
  const all = await scenario(small);
  const release = Promise.withResolvers<void>();
  all.glance.faults.add({ method: 'PUT', path: /file$/, hold: release.promise });
  const manual = await all.request(vmOf(all), { force: true });
  // Two minutes to the next time.
  const id = await dueSince(all, -58, { timing: { rate: '2 minutes' } });
  let run: Run | undefined;
  for (; run?.outcome === undefined; [run] = await runsOf(all, id)) await all.service.tick();
  expect(run).toMatchObject({
    outcome: 'skipped',
    reason: { name: 'VmBusy', message: expect.stringContaining(manual) },
  });
  expect(Date.parse(run?.startBefore ?? '')).toBeLessThanOrEqual(Date.parse(run?.next ?? ''));
  await all.service.runtime.store.schedules.remove(id);
  release.resolve();
  expect(await all.job(manual)).toMatchObject({ status: 'succeeded' });
  // The next may have been due meanwhile.
  await settled(all, await runsOf(all, id));
});

it('skips a run that has not begun when its schedule is removed', async () => {
  const all = await scenario(small);
  const id = await dueSince(all, 1, { flexibleMinutes: 1440, timing: { rate: '1 hour' } });
  const { store } = all.service.runtime;
  await tick(all.service.runtime, () => Promise.reject(unreachable()));
  await store.schedules.remove(id);
  for await (const run of store.runs.open())
    await tick({ ...all.service.runtime, clock: { now: () => new Date(run.startAfter ?? '') } });
  expect(outcomes(await runsOf(all, id))).toEqual([['skipped', 'ScheduleRemoved']]);
});

it('reads from the job how a run ended when that could not be written', async () => {
  const all = await scenario(small);
  const id = await dueSince(all, 1);
  const { store } = all.service.runtime;
  const finish = store.runs.finish;
  store.runs.finish = () => Promise.reject(new Error('the table is away'));
  await all.service.tick();
  const [run] = await runsOf(all, id);
  await all.job(run?.jobId ?? '');
  expect((await runsOf(all, id))[0]?.outcome).toBeUndefined();
  store.runs.finish = finish;
  expect(outcomes(await endedRuns(all, id))).toEqual([['succeeded', undefined]]);
});

function unreachable(): Error {
  return Object.assign(new Error('nobody answers'), { name: 'XapiUnreachable' });
}
