import { randomUUID } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { reportView } from '../../functions/api/report-view.ts';
import { collectMetrics, type Measured } from '../../functions/metrics.ts';
import { TESTED_PROPERTY } from '../../functions/restore-tested.ts';
import { tellAges } from '../../functions/schedules/ages.ts';
import { askOnce } from '../../functions/schedules/pool-vms.ts';
import { reportOf } from '../../functions/schedules/report.ts';
import { saveSchedule } from '../../functions/schedules/save.ts';
import { aJob } from '../functions/api/a-job.ts';
import { restored } from '../support/restoring.ts';
import { POOL_NAME, type Scenario, scenario } from '../support/scenario.ts';

const DAY = 86_400_000;
const VMS = 20;
const OPERATOR = { id: 'local', actor: 'local', role: 'admin' } as const;

/** A verified backup of a VM by a schedule's run: what one real snapshot has made, as an image of its own. */
async function aBackup(
  { service, glance }: Scenario,
  first: string,
  data: Buffer,
  of: { scheduleId: string; vmUuid: string; vmName: string },
): Promise<string> {
  const { store, glance: client, clock } = service.runtime;
  const id = randomUUID();
  const model = await client.getImage(first);
  await client.createImage({
    ...{ id, name: of.vmName, diskFormat: 'vhd', containerFormat: 'ovf', visibility: 'private' },
    ...{ minDisk: model?.minDisk ?? 1, properties: { ...model?.properties, xensnap_job: id } },
  });
  await fetch(`${glance.url}/v2/images/${id}/file`, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream' },
    body: new Uint8Array(data),
  });
  const now = clock.now();
  const { scheduleId, vmUuid, vmName } = of;
  await store.jobs.create(aJob({ id, vmUuid, vmName, run: { scheduleId, nominal: now.toISOString() } }));
  await store.jobs.finish(id, { status: 'succeeded', finishedAt: now, ttl: 4_000_000_000 });
  await store.jobs.settle(id);
  const backup = { imageId: id, type: 'daily', verifiedAt: now.toISOString(), scheduleId };
  await store.backups.verified(POOL_NAME, vmUuid, { ...backup, bytes: data.length });
  return id;
}

async function dataOf({ folder }: Scenario, image: string): Promise<{ path: string; data: Buffer }> {
  const files = await readdir(join(folder, 'glance'), { recursive: true });
  const name = files.find((file) => file.includes(image) && !file.endsWith('.json')) ?? '';
  const path = join(folder, 'glance', name);
  return { path, data: await readFile(path) };
}

it(`tests ${VMS} images a week, finds and names the one that was damaged at rest, and proves the others`, async () => {
  const measured: Measured[] = [];
  const at = await scenario({
    pool: { vms: 1, diskMib: 1, guestBootSeconds: 3 },
    vms: Array.from({ length: VMS }, (_, n) => ({
      name: `db-${n}`,
      kind: 'noDisk' as const,
      powerState: 'Halted' as const,
    })),
    slots: 4,
    service: { metrics: collectMetrics((each) => measured.push(each)) },
  });
  const { service, pool, glance } = at;
  const { runtime } = service;
  const taken = await at.request('web-1');
  await at.job(taken);
  const week = { now: () => new Date(at.clock.now().getTime() - 7 * DAY - 60_000) };
  const { id: scheduleId, testAnchor = '' } = await saveSchedule(
    randomUUID(),
    {
      ...{
        selector: { namePattern: 'db-*' },
        timing: { cron: '0 2 1 1 ? 2099' },
        keep: 7,
        backupType: 'daily',
      },
      restoreTest: { every: 'weekly', sample: VMS, boot: true },
    },
    { ...runtime, clock: week },
  );
  const { data } = await dataOf(at, taken);
  const images: string[] = [];
  for (let n = 0; n < VMS; n++) {
    const vmName = `db-${n}`;
    images.push(await aBackup(at, taken, data, { scheduleId, vmUuid: pool.vm(vmName).uuid, vmName }));
  }
  const damaged = await dataOf(at, images[7] ?? '');
  damaged.data.writeUInt8((damaged.data[damaged.data.length >> 1] ?? 0) ^ 1, damaged.data.length >> 1);
  await writeFile(damaged.path, damaged.data);
  await Promise.all([service.tick(), service.tick()]);
  const jobs: string[] = [];
  const nominal = new Date(Date.parse(testAnchor) + 7 * DAY).toISOString();
  for await (const { jobId = '' } of runtime.store.runs.ofDay(nominal.slice(0, 10))) jobs.push(jobId);
  expect(jobs).toHaveLength(VMS);
  await Promise.all(jobs.map((id) => restored(service, id)));
  await service.tick();
  const said = glance.images().flatMap(({ properties }) => properties[TESTED_PROPERTY] ?? []);
  expect(said.filter((text) => JSON.parse(text).reached === 'tools')).toHaveLength(VMS - 1);
  expect(said.filter((text) => JSON.parse(text).failed === 'ImageDamaged')).toHaveLength(1);
  const reported = async (now: Date, date: string) => {
    const later = { ...runtime, clock: { now: () => now } };
    const at = now.toISOString();
    return reportView(await reportOf(date, undefined, later), OPERATOR, { date, at, told: {} });
  };
  const day = await reported(at.clock.now(), nominal.slice(0, 10));
  expect(day.summary).toMatchObject({ ok: false, testsFailed: 1, testsOverdue: 0, failed: 0 });
  expect(day.tests.filter(({ state }) => state === 'failed')).toMatchObject([
    { vm: { name: 'db-7' }, imageId: images[7], reason: { name: 'ImageDamaged' } },
  ]);
  const proven = day.vms.filter(({ lastProven }) => lastProven?.reached === 'tools').map(({ name }) => name);
  expect(proven.toSorted()).toEqual(
    day.vms
      .map(({ name }) => name)
      .filter((name) => name !== 'db-7')
      .toSorted(),
  );
  expect(day.vms.filter(({ failedTest }) => failedTest)).toMatchObject([
    { name: 'db-7', lastProven: null, failedTest: { imageId: images[7], name: 'ImageDamaged' } },
  ]);
  const values = (name: string) => measured.filter((each) => each.name === name).map(({ value }) => value);
  expect([values('RestoreTestFailed'), values('RestoreTestSucceeded').length]).toEqual([[1], VMS - 1]);
  // Two more weeks and a day in which nothing is proved.
  const later = new Date(at.clock.now().getTime() + 15 * DAY + 60_000);
  expect((await reported(later, '2026-01-01')).testing).toMatchObject([{ scheduleId, overdue: true }]);
  await tellAges({ ...runtime, clock: { now: () => later } }, askOnce(runtime));
  expect(values('RestoreTestsOverdue').at(-1)).toBe(1);
  await runtime.store.schedules.remove(scheduleId);
});
