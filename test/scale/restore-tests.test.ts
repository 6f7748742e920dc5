import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import type { requestRestore } from '../../functions/restore-request.ts';
import { noteEnd } from '../../functions/schedules/outcome.ts';
import type { Run } from '../../functions/schedules/run.ts';
import type { Schedule } from '../../functions/schedules/schedule.ts';
import { tick } from '../../functions/schedules.ts';
import { aJob, aRestore } from '../functions/api/a-job.ts';
import { memoryRuntime } from './memory-runtime.ts';
import { MemoryTable } from './memory-table.ts';

const DAY = 86_400_000;
const FROM = Date.UTC(2026, 0, 5, 9);
const VMS = 20;

/**
 * A schedule whose tests are weekly, and the newest verified backup of each of its VMs.
 * @param recorded whether the records of the backups' jobs are there yet
 */
async function weekly(sample: number, vms: number, { recorded = true } = {}) {
  const time = { now: FROM };
  const runtime = memoryRuntime({ now: () => new Date(time.now) }, new MemoryTable());
  const { store } = runtime;
  const [id, at] = [randomUUID(), new Date(FROM).toISOString()];
  const schedule: Schedule = {
    ...{ id, selector: { tag: 'prod' }, timing: { cron: '0 2 1 1 ? 2099' }, timeZone: 'UTC' },
    ...{ flexibleMinutes: 0, keep: 7, backupType: 'daily', quiesce: 'never', enabled: true },
    ...{ createdAt: at, updatedAt: at, anchor: at, revision: 'first' },
    restoreTest: { every: 'weekly', sample, boot: true, sr: 'tests' },
    ...{ testAnchor: at, nextTestAt: new Date(FROM + 7 * DAY).toISOString() },
  };
  await store.schedules.create(schedule);
  const vmOf = new Map<string, string>();
  for (let n = 0; n < vms; n++) {
    const image = aJob({ vmName: `vm-${n}` });
    if (recorded) await store.jobs.create(image);
    vmOf.set(image.id, image.vmUuid);
    const backup = { imageId: image.id, type: 'daily', verifiedAt: at };
    // Of another schedule's backup of the VM there is nothing to prove for this one.
    const others = { ...backup, imageId: randomUUID(), verifiedAt: new Date(FROM + 1).toISOString() };
    await store.backups.verified('demo', image.vmUuid, { ...backup, scheduleId: id });
    await store.backups.verified('demo', image.vmUuid, { ...others, scheduleId: randomUUID() });
  }
  const tested: { vm: string; week: number }[] = [];
  const restore: typeof requestRestore = async ({ image, run, jobId = '', boot = false, sr = '' }) => {
    const request = { ...aRestore().request, image, test: true, boot, sr };
    const job = aRestore({ id: jobId, request, ...(run && { run }) });
    if (!(await store.jobs.create(job))) return { job, created: false };
    tested.push({ vm: vmOf.get(image) ?? '', week: (time.now - FROM) / DAY / 7 });
    // Every third fails; a test counts as one all the same.
    const status = tested.length % 3 === 0 ? 'failed' : 'succeeded';
    const finishedAt = new Date(time.now);
    if (status === 'succeeded')
      await store.jobs.commitTest(jobId, { reached: 'tools', provenAt: finishedAt });
    const error = { name: 'ImageDamaged', message: 'x' };
    const ended = await store.jobs.finish(jobId, {
      status,
      finishedAt,
      ttl: 0,
      ...(status === 'failed' && { error }),
    });
    if (ended) await noteEnd(ended, runtime);
    return { job, created: true };
  };
  const look = () => tick(runtime, () => Promise.reject(new Error('no backup is due')), restore);
  const runs = async () => {
    const found: Run[] = [];
    for (let day = FROM; day <= time.now; day += DAY)
      for await (const run of store.runs.ofDay(new Date(day).toISOString().slice(0, 10))) found.push(run);
    return found;
  };
  return { time, runtime, schedule, tested, look, runs, restore };
}

it('tests so many VMs a week, each once before any is tested again, whenever and however often the ticks come', async () => {
  const { time, tested, look, runs, runtime, schedule } = await weekly(3, VMS);
  await look();
  time.now = FROM + 7 * DAY - 1000;
  await look();
  expect(tested).toEqual([]);
  for (let week = 1; week <= 7; week++) {
    time.now = FROM + week * 7 * DAY + week * 3_600_000;
    // Twice at once, and once more.
    await Promise.all([look(), look()]);
    await look();
    expect(tested.length).toBe(3 * week);
  }
  const first = tested.slice(0, VMS).map(({ vm }) => vm);
  expect(new Set(first).size).toBe(VMS);
  const all = await runs();
  expect(all.map(({ outcome }) => outcome).filter((outcome) => outcome === 'failed')).toHaveLength(7);
  expect(
    all
      .slice(0, 3)
      .map(({ test }) => test?.slot)
      .toSorted(),
  ).toEqual([0, 1, 2]);
  const known = await runtime.store.backups.of('demo', tested[2]?.vm ?? '');
  expect(known.tests?.failed).toMatchObject({
    name: 'ImageDamaged',
    imageId: all.find(({ vmUuid }) => vmUuid === tested[2]?.vm)?.test?.imageId,
  });
  // Three weeks in which nobody looked are one test.
  time.now += 21 * DAY;
  await look();
  expect(tested.length).toBe(8 * 3);
  expect((await runs()).at(-1)?.nominal).toBe(new Date(FROM + 10 * 7 * DAY).toISOString());
  expect((await runtime.store.schedules.get(schedule.id))?.nextTestAt).toBe(
    new Date(FROM + 11 * 7 * DAY).toISOString(),
  );
});

it('finishes the tests of a tick that died half-way, with the VMs that it had chosen, and makes no more', async () => {
  const { time, tested, look, runs, runtime } = await weekly(3, 4);
  time.now = FROM + 7 * DAY;
  const { create } = runtime.store.runs;
  let made = 0;
  runtime.store.runs.create = async (...run) => {
    if (made++ === 2) throw new Error('the Lambda is gone');
    return create.apply(runtime.store.runs, run);
  };
  await expect(look()).rejects.toThrow('the Lambda is gone');
  runtime.store.runs.create = create;
  const begun = (await runs()).map(({ vmUuid }) => vmUuid);
  expect(begun).toHaveLength(2);
  // Those are the VMs that were tested last by now.
  await look();
  expect(tested).toHaveLength(3);
  expect(new Set(tested.map(({ vm }) => vm)).size).toBe(3);
  expect(tested.map(({ vm }) => vm)).toEqual(expect.arrayContaining(begun));
});

it('says that there is nothing to test, asks again while it cannot be asked for, and counts what cannot be at all', async () => {
  const { time, look, runs } = await weekly(1, 0);
  time.now = FROM + 7 * DAY;
  await look();
  expect(await runs()).toMatchObject([{ outcome: 'skipped', reason: { name: 'NothingSelected' } }]);
  const other = await weekly(1, 1);
  other.time.now = FROM + 7 * DAY;
  const noBackup = () => Promise.reject(new Error('no backup is due'));
  const asked = (error?: Error) =>
    tick(other.runtime, noBackup, error ? () => Promise.reject(error) : other.restore);
  await asked(Object.assign(new Error('nobody answers'), { name: 'XapiUnreachable' }));
  expect(await other.runs()).toMatchObject([{ problem: { name: 'PoolUnreachable' } }]);
  await asked();
  expect(other.tested).toHaveLength(1);
  const counted: string[] = [];
  other.runtime.metrics.count = (name: string) => void counted.push(name);
  other.time.now += 7 * DAY;
  await asked(Object.assign(new Error('no room'), { name: 'StorageFull' }));
  expect((await other.runs()).at(-1)).toMatchObject({ outcome: 'failed', reason: { name: 'StorageFull' } });
  expect(counted).toContain('RestoreTestFailed');
});

it('gives each VM its turn where a test of one is refused each time, and where backups are older than their records', async () => {
  const refused = await weekly(1, 2);
  const asked: string[] = [];
  const noBackup = () => Promise.reject(new Error('no backup is due'));
  for (let week = 1; week <= 4; week++) {
    refused.time.now = FROM + week * 7 * DAY;
    await tick(refused.runtime, noBackup, async ({ image }) => {
      asked.push(image);
      throw Object.assign(new Error('no room'), { name: 'StorageFull' });
    });
  }
  expect(asked).toEqual([asked[0], asked[1], asked[0], asked[1]]);
  expect(new Set(asked).size).toBe(2);
  const [run] = await refused.runs();
  const known = await refused.runtime.store.backups.of('demo', run?.vmUuid ?? '');
  expect(known.tests?.failed).toMatchObject({ imageId: run?.test?.imageId, name: 'StorageFull' });

  const old = await weekly(1, 2, { recorded: false });
  for (let week = 1; week <= 4; week++) {
    old.time.now = FROM + week * 7 * DAY;
    await old.look();
  }
  const vms = old.tested.map(({ vm }) => vm);
  expect(vms).toEqual([vms[0], vms[1], vms[0], vms[1]]);
  expect(new Set(vms).size).toBe(2);
  expect((await old.runtime.store.schedules.get(old.schedule.id))?.provenAt).toBeDefined();
});
