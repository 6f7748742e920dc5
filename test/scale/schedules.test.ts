import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import type { requestSnapshot } from '../../functions/request.ts';
import { reportOf } from '../../functions/schedules/report.ts';
import type { Schedule } from '../../functions/schedules/schedule.ts';
import { nextNominal, type Timing, typeOf } from '../../functions/schedules/timing.ts';
import { tick } from '../../functions/schedules.ts';
import { handler as releaseHost } from '../../functions/steps/ReleaseHost.ts';
import { handler as rotateBackups } from '../../functions/steps/RotateBackups.ts';
import { handler as verifyImage } from '../../functions/steps/VerifyImage.ts';
import type { Glance } from '../../glance/client.ts';
import type { Image } from '../../glance/image.ts';
import { aJob } from '../functions/api/a-job.ts';
import { memoryRuntime } from './memory-runtime.ts';
import { MemoryTable } from './memory-table.ts';
import { randomOf } from './random.ts';

const MINUTE = 60_000;
const DAY = 86_400_000;

/** A schedule of one VM, as it is on record. */
function aSchedule(timing: Timing, timeZone: string, from: number, fields: Partial<Schedule> = {}): Schedule {
  const at = new Date(from).toISOString();
  const next = nextNominal({ timing, timeZone, anchor: at }, from);
  return {
    id: randomUUID(),
    vm: { pool: 'demo', uuid: randomUUID(), name: 'web-1' },
    timing,
    timeZone,
    flexibleMinutes: 0,
    keep: 7,
    backupType: typeOf(timing) ?? 'often',
    quiesce: 'never',
    enabled: true,
    createdAt: at,
    updatedAt: at,
    anchor: at,
    revision: 'first',
    ...(next !== undefined && { nextAt: new Date(next).toISOString() }),
    ...fields,
  };
}

const ZONES = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'UTC'];
/** Minutes of the day at which something is due; all of them are left out or doubled somewhere. */
const TIMES = [60, 90, 105, 120, 130, 150, 180, 720];
const [FROM, TO] = [Date.UTC(2026, 0, 1), Date.UTC(2028, 0, 1)];

/**
 * When the clocks of a zone first show each of the minutes of a day, or pass it: read off a clock that is looked at
 * every minute, which is another way than the one under test.
 */
function readOffTheClock(timeZone: string): Map<number, number[]> {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'short' });
  const found = new Map<number, number[]>(TIMES.map((time) => [time, []]));
  let [date, seen] = ['', -1];
  for (let instant = FROM - DAY; instant < TO; instant += 15 * MINUTE) {
    // Clocks are changed at full quarters only.
    const [day = '', clock = ''] = format.format(instant).split(' ');
    const first = Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3, 5));
    if (day !== date) [date, seen] = [day, -1];
    for (const time of TIMES)
      if (time > seen && time < first + 15)
        found.get(time)?.push(instant + Math.max(0, time - first) * MINUTE);
    seen = Math.max(seen, first + 14);
  }
  for (const [time, instants] of found)
    found.set(
      time,
      instants.filter((instant) => instant > FROM && instant < TO),
    );
  return found;
}

it('makes exactly one backup for each nominal time of two years in four time zones', async () => {
  let now = FROM;
  const clock = { now: () => new Date(now) };
  const table = new MemoryTable();
  const runtime = memoryRuntime(clock, table);
  const { store } = runtime;
  // Reads every schedule at each tick but one minute's; the test below has it.
  store.schedules.takeAges = async () => false;
  const made = new Map<string, string[]>();
  const request: typeof requestSnapshot = async ({ scheduled, jobId = '', vm }) => {
    const { scheduleId = '', nominal = '', startBefore } = scheduled ?? {};
    expect(startBefore?.getTime()).toBeGreaterThan(now);
    const job = aJob({ id: jobId, vmUuid: vm, run: { scheduleId, nominal } });
    // Two ticks at once may both ask: the job's id makes it one.
    if (!(await store.jobs.create(job))) return { job, created: false };
    made.get(scheduleId)?.push(nominal);
    await store.jobs.finish(jobId, { status: 'succeeded', finishedAt: clock.now(), ttl: 0 });
    return { job, created: true };
  };
  const expected = new Map<string, string[]>();
  for (const zone of ZONES)
    for (const [time, instants] of readOffTheClock(zone)) {
      const at = `${String(Math.floor(time / 60)).padStart(2, '0')}:${String(time % 60).padStart(2, '0')}`;
      const schedule = aSchedule({ daily: { at } }, zone, FROM);
      await store.schedules.create(schedule);
      made.set(schedule.id, []);
      expected.set(
        schedule.id,
        instants.map((instant) => new Date(instant).toISOString()),
      );
    }
  const random = randomOf(20260101);
  while (now < TO) {
    // Triggers come twice, at once and late.
    const times = random() < 0.2 ? 2 : 1;
    await Promise.all(Array.from({ length: times }, () => tick(runtime, request)));
    const { items } = await table.query<Schedule>('byKind', 'schedule', { limit: 1, order: 'oldestFirst' });
    const due = Date.parse(items[0]?.nextAt ?? '');
    now = Math.max(now + MINUTE, due + Math.floor(random() * 90_000));
  }
  await tick(runtime, request);
  for (const [id, nominals] of expected) {
    expect(nominals.length).toBeGreaterThanOrEqual(729);
    expect(made.get(id)?.filter((nominal) => Date.parse(nominal) < TO)).toEqual(nominals);
  }
  await runtime.close();
}, 600_000);

/** A Glance that keeps its images in memory, with so much of it as verification and rotation use. */
function memoryGlance(images: Map<string, Image>): Glance {
  const glance: Pick<Glance, 'getImage' | 'updateImage' | 'deleteImage' | 'listImages'> = {
    getImage: async (id) => images.get(id),
    async updateImage(id, properties) {
      const image = images.get(id) as Image;
      const changed = {
        ...image,
        properties: { ...image.properties, ...(properties as Record<string, string>) },
      };
      images.set(id, changed);
      return changed;
    },
    deleteImage: async (id) => void images.delete(id),
    async *listImages({ properties = {} } = {}) {
      const wanted = Object.entries(properties);
      for (const image of images.values())
        if (wanted.every(([name, value]) => image.properties[name] === value)) yield image;
    },
  };
  return glance as unknown as Glance;
}

const VMS = 200;
const DAYS = 60;
const KEEP = { daily: 7, weekly: 4 } as const;
const FAILS = 0.03;

it(`keeps its daily and weekly backups of each of ${VMS} VMs over ${DAYS} days in which ${FAILS * 100} % fail, and reports the truth`, async () => {
  let now = Date.UTC(2026, 2, 1);
  const clock = { now: () => new Date(now) };
  const images = new Map<string, Image>();
  const whole = memoryRuntime(clock, new MemoryTable());
  const runtime = {
    ...whole,
    glance: memoryGlance(images),
    // Verification, rotation and the last step ask the pool nothing.
    withSession: (_pool: string, use: (session: never) => Promise<unknown>) => use({ callCount: 0 } as never),
  } as unknown as typeof whole;
  const { store } = runtime;
  const random = randomOf(60);
  const truth = new Map<string, 'succeeded' | 'failed'>();
  const request: typeof requestSnapshot = async ({ vm, scheduled, jobId = '', backup, pool = '' }) => {
    const { scheduleId = '', nominal = '' } = scheduled ?? {};
    const request = { name: 'image', quiesce: 'never', metadata: {}, detached: false, force: false } as const;
    const job = aJob({
      ...{ id: jobId, pool, vmUuid: vm, run: { scheduleId, nominal }, createdAt: clock.now().toISOString() },
      request: { ...request, ...(backup && { backup }) },
      ...{ imageBytes: 1, sha512: 'x', consistency: 'crash-consistent' as const },
    });
    const fails = random() < FAILS;
    if (!(await store.jobs.create(job))) return { job, created: false };
    truth.set(`${scheduleId} ${nominal}`, fails ? 'failed' : 'succeeded');
    if (fails) {
      const failure = { Error: 'UploadFailed', Cause: 'the line was cut' };
      await releaseHost.in(runtime)({ jobId, failure } as never);
      return { job, created: true };
    }
    images.set(jobId, anImage(jobId, vm, backup?.type ?? '', clock.now()));
    await verifyImage.in(runtime)({ jobId } as never);
    await rotateBackups.in(runtime)({ jobId } as never);
    await releaseHost.in(runtime)({ jobId } as never);
    return { job, created: true };
  };
  const schedules: Schedule[] = [];
  for (let n = 0; n < VMS; n++) {
    const vm = { pool: 'demo', uuid: randomUUID(), name: `vm-${n}` };
    const daily = { daily: { window: 'H_2200_0000' } };
    const weekly = { weekly: { day: 'SUNDAY', window: 'H_0400_0600' } } as const;
    for (const [timing, keep] of [
      [daily, KEEP.daily],
      [weekly, KEEP.weekly],
    ] as const)
      schedules.push(aSchedule(timing, 'Europe/Berlin', now, { vm, keep, flexibleMinutes: 120 }));
  }
  for (const schedule of schedules) await store.schedules.create(schedule);
  for (const end = now + DAYS * DAY; now < end; now += 30 * MINUTE) await tick(runtime, request);
  // What is due is begun; nothing is left open.
  for await (const run of store.runs.open()) expect(run).toBeUndefined();

  const reported = new Map<string, string>();
  for (let day = Date.UTC(2026, 1, 28); day <= now; day += DAY) {
    const { runs } = await reportOf(new Date(day).toISOString().slice(0, 10), undefined, runtime);
    for (const { scheduleId, nominal, state, reason } of runs) {
      reported.set(`${scheduleId} ${nominal}`, state);
      expect(reason?.name).toBe(state === 'failed' ? 'UploadFailed' : undefined);
    }
  }
  expect(reported).toEqual(truth);
  expect(truth.size).toBeGreaterThanOrEqual(VMS * (DAYS + 8));
  const failed = [...truth.values()].filter((outcome) => outcome === 'failed').length;
  expect(failed / truth.size).toBeGreaterThan(0.02);
  expect(failed / truth.size).toBeLessThan(0.04);

  for (const { id, vm, backupType, keep } of schedules) {
    const kept = [...images.values()].filter(
      ({ properties }) => properties.xensnap_vm === vm?.uuid && properties.backup_type === backupType,
    );
    const good = [...truth].filter(([key, outcome]) => key.startsWith(id) && outcome === 'succeeded').length;
    expect(kept).toHaveLength(Math.min(keep, good));
    expect(good).toBeGreaterThanOrEqual(keep);
  }
  const { vms } = await reportOf('2026-04-29', undefined, runtime);
  expect(vms).toHaveLength(VMS);
  for (const { uuid, last, ageHours } of vms) {
    const newest = [...images.values()]
      .filter(({ properties }) => properties.xensnap_vm === uuid)
      .map(({ properties }) => properties.xensnap_verified_at ?? '')
      .sort()
      .at(-1);
    expect(last?.verifiedAt).toBe(newest);
    expect(ageHours).toBeCloseTo((now - Date.parse(newest ?? '')) / 3_600_000, 5);
  }
  await whole.close();
}, 600_000);

function anImage(id: string, vm: string, type: string, at: Date): Image {
  return {
    ...{ id, name: 'image', status: 'active', sizeBytes: 1, checksum: null },
    ...{ osHashAlgo: 'sha512', osHashValue: 'x', diskFormat: 'vhd', containerFormat: 'ovf' },
    ...{ visibility: 'private', owner: null, protected: false },
    ...{ createdAt: at.toISOString(), updatedAt: at.toISOString() },
    properties: {
      ...{ image_type: 'backup', backup_type: type, xensnap_installation: 'memory', xensnap_job: id },
      ...{ xensnap_pool: 'demo', xensnap_vm: vm },
    },
  };
}
