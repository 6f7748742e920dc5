import { expect, it } from 'vitest';
import { collectMetrics, type Measured } from '../../../functions/metrics.ts';
import { reportOf } from '../../../functions/schedules/report.ts';
import type { Schedule } from '../../../functions/schedules/schedule.ts';
import { tick } from '../../../functions/schedules.ts';
import type { Glance } from '../../../glance/client.ts';
import { memoryRuntime } from '../../scale/memory-runtime.ts';
import { MemoryTable } from '../../scale/memory-table.ts';

const START = Date.UTC(2026, 4, 5);
const HOUR = 3_600_000;
const iso = (hours: number) => new Date(START + hours * HOUR).toISOString();

function aSchedule(fields: Partial<Schedule>): Schedule {
  return {
    ...{ id: crypto.randomUUID(), timing: { daily: { at: '02:00' } }, timeZone: 'UTC', flexibleMinutes: 0 },
    ...{ keep: 7, backupType: 'daily', quiesce: 'never', enabled: true, anchor: iso(0), revision: 'r' },
    ...{ createdAt: iso(0), updatedAt: iso(0), nextAt: iso(24 * 365) },
    ...fields,
  };
}

it('tells the age of the oldest last backup of all scheduled VMs, every 15 minutes at most', async () => {
  let now = START + 10 * HOUR;
  const measured: Measured[] = [];
  const metrics = collectMetrics((each) => measured.push(each));
  const runtime = memoryRuntime({ now: () => new Date(now) }, new MemoryTable(), { metrics });
  const { schedules, backups } = runtime.store;
  const told = async () => {
    measured.length = 0;
    await tick(runtime);
    return measured.map(({ name, value }) => [name, value]);
  };
  expect(await told()).toEqual([]);

  const vm = (uuid: string) => ({ pool: 'demo', uuid, name: uuid });
  await schedules.create(aSchedule({ vm: vm('a') }));
  const selecting = aSchedule({ selector: {} });
  await schedules.create(selecting);
  // Its pool is away: what is known of it counts.
  await backups.select('demo', 'b', { name: 'b', since: iso(2), by: [selecting.id] });
  await schedules.create(aSchedule({ vm: vm('forgotten'), enabled: false, createdAt: iso(-1000) }));
  await backups.verified('demo', 'a', { imageId: 'i', type: 'daily', verifiedAt: iso(9) });
  now += 15 * 60_000 + 1;
  // The one of the selector has none at all since it is scheduled.
  expect(await told()).toEqual([['VerifiedBackupAgeHours', expect.closeTo(8.25, 2)]]);
  now += 10 * 60_000;
  expect(await told()).toEqual([]);
  await backups.verified('demo', 'b', { imageId: 'j', type: 'daily', verifiedAt: iso(10) });
  now += 10 * 60_000;
  expect(await told()).toEqual([['VerifiedBackupAgeHours', expect.closeTo(1.58, 2)]]);
  await runtime.close();
});

it('alarms by the last backup that Glance still has', async () => {
  const clock = { now: () => new Date(START + 50 * HOUR) };
  const measured: Measured[] = [];
  const whole = memoryRuntime(clock, new MemoryTable(), {
    metrics: collectMetrics((each) => measured.push(each)),
  });
  const there = { status: 'active', properties: { xensnap_installation: 'memory', xensnap_job: 'old' } };
  const glance = {
    async *listImages() {},
    getImage: async (id: string) => (id === 'old' ? { id, ...there } : undefined),
  } as unknown as Glance;
  const { schedules, backups } = whole.store;
  await schedules.create(aSchedule({ vm: { pool: 'demo', uuid: 'a', name: 'a' } }));
  await backups.verified('demo', 'a', { imageId: 'old', type: 'daily', verifiedAt: iso(10) });
  await backups.verified('demo', 'a', { imageId: 'deleted', type: 'daily', verifiedAt: iso(49) });
  await tick({ ...whole, glance });
  expect(measured).toMatchObject([{ name: 'VerifiedBackupAgeHours', value: 40 }]);
  await whole.close();
});

it('counts a run without a backup once', async () => {
  const measured: Measured[] = [];
  const metrics = collectMetrics((each) => measured.push(each));
  const clock = { now: () => new Date(START + 15 * HOUR) };
  const runtime = memoryRuntime(clock, new MemoryTable(), { metrics });
  // An hour more than half of the time to the next.
  await runtime.store.schedules.create(
    aSchedule({ vm: { pool: 'demo', uuid: 'a', name: 'a' }, nextAt: iso(2) }),
  );
  await tick(runtime);
  await tick(runtime);
  const counted = measured
    .filter(({ name }) => name.startsWith('Backup'))
    .map(({ name, value }) => [name, value]);
  expect(counted).toEqual([['BackupSkipped', 1]]);
  await runtime.close();
});

it('goes on with the other schedules when one fails, and says that it has failed', async () => {
  const clock = { now: () => new Date(START + HOUR) };
  const runtime = memoryRuntime(clock, new MemoryTable());
  const { schedules, runs } = runtime.store;
  const vm = { pool: 'demo', uuid: 'a', name: 'a' };
  await schedules.create(aSchedule({ vm, timeZone: 'Mars/Base', nextAt: iso(0) }));
  const good = aSchedule({ vm, nextAt: iso(0.5) });
  await schedules.create(good);
  const asked: string[] = [];
  const failing = tick(runtime, async ({ scheduled }) => {
    asked.push(scheduled?.scheduleId ?? '');
    throw new Error('nobody is there');
  });
  await expect(failing).rejects.toThrow('Mars/Base');
  expect(asked).toEqual([good.id]);
  expect(await Array.fromAsync(runs.open())).toMatchObject([{ scheduleId: good.id }]);
  await runtime.close();
});

it('places VMs of a report by the backups that stood when its first page was made', async () => {
  let now = START + 12 * HOUR;
  const runtime = memoryRuntime({ now: () => new Date(now) }, new MemoryTable());
  const { schedules, backups } = runtime.store;
  for (const uuid of ['a', 'b', 'c'])
    await schedules.create(aSchedule({ vm: { pool: 'demo', uuid, name: uuid } }));
  const aBackup = (uuid: string, hour: number) => {
    const imageId = `${uuid}-${hour}`;
    return backups.verified('demo', uuid, { imageId, type: 'daily', verifiedAt: iso(hour) });
  };
  for (const [uuid, hour] of [['a', 9] as const, ['b', 7] as const, ['b', 10] as const])
    await aBackup(uuid, hour);
  const first = new Date(now).toISOString();
  const placed = async () => {
    const { vms } = await reportOf('2026-05-05', undefined, runtime, first);
    return Object.fromEntries(vms.map(({ uuid, oldest }) => [uuid, oldest]));
  };
  const before = { a: iso(9), b: iso(10), c: iso(0) };
  expect(await placed()).toEqual(before);
  now += HOUR / 10;
  await aBackup('a', 12.05);
  const lost = { what: 'is no longer in Glance', foundAt: iso(12.05) };
  await backups.found('demo', 'b', new Map([['b-10', lost]]));
  expect(await placed()).toEqual(before);
  await runtime.close();
});
