import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { collectMetrics, type Measured } from '../../functions/metrics.ts';
import { MACHINES } from '../../statemachine/contract.ts';
import { scenario } from '../support/scenario.ts';

/** A scenario whose metrics are kept. */
async function measured(options: Parameters<typeof scenario>[0] = {}) {
  const all: Measured[] = [];
  const metrics = collectMetrics((each) => all.push(each));
  const parts = await scenario({ ...options, service: { metrics, ...options.service } });
  const sum = (name: string) =>
    all.filter((each) => each.name === name).reduce((total, { value }) => total + value, 0);
  return { ...parts, all, sum };
}

it('measures a job: its outcome once, the bytes it sent, its slot, and every step that ran', async () => {
  const { all, sum, request, job } = await measured();
  const done = await job(await request('web-1', { backup: { type: 'daily', keep: 1 } }));
  expect(done).toMatchObject({ status: 'succeeded' });
  expect([sum('JobSucceeded'), sum('JobFailed'), sum('SlotsTaken'), sum('VmLeftUnlocked')]).toEqual([
    1, 0, 1, 0,
  ]);
  expect(sum('BytesSent')).toBe(done.imageBytes);
  const steps = all
    .filter(({ name }) => name === 'StepSeconds')
    .map(({ dimensions }) => dimensions.step ?? '');
  const undoing = ['CancelUpload', 'DiscardImage'];
  const ofSnapshot = [...MACHINES.snapshot.forward, ...MACHINES.snapshot.cleanup];
  expect(new Set(steps)).toEqual(new Set(ofSnapshot.filter((step) => !undoing.includes(step))));
  expect(all.every(({ fields }) => fields.jobId === done.id)).toBe(true);
  expect(
    all.every(({ name, dimensions }) => name === 'StepSeconds' || Object.keys(dimensions).length === 0),
  ).toBe(true);
});

it('counts a cancelled job as cancelled, and a refused request as no job', async () => {
  const { sum, ask, request, job, service } = await measured({
    service: {
      async aroundStep(step, id, run) {
        if (step === 'StartUpload') await service.runtime.store.jobs.cancel(id);
        return run();
      },
    },
  });
  expect(await job(await request('web-1'))).toMatchObject({ status: 'cancelled' });
  await ask('POST', '/snapshots', { vm: 'nobody' });
  expect([sum('JobCancelled'), sum('JobFailed'), sum('JobSucceeded')]).toEqual([1, 0, 0]);
});

it('counts a VM as left unlocked at each try that does not lock it again, and a pool that is away', async () => {
  const { pool, sum, request, job, service } = await measured({
    speed: 20,
    service: {
      async aroundStep(step, _jobId, run) {
        if (step === 'DestroySnapshot') await pool.setReachable(false);
        return run();
      },
    },
  });
  const id = await request('web-1');
  // The step that tells the outcome counts what is owed after it.
  const told = await job(id, ({ finishedAt, stepUntil }) => finishedAt !== undefined && !stepUntil);
  expect(told).toMatchObject({ status: 'succeeded' });
  await service.settled();
  const atFirst = sum('VmLeftUnlocked');
  expect(atFirst).toBeGreaterThan(0);
  expect(sum('PoolPaused')).toBeGreaterThan(0);
  await service.janitor();
  expect(sum('VmLeftUnlocked')).toBe(atFirst + 1);
  expect(sum('JanitorFindings')).toBeGreaterThan(0);
  await pool.setReachable(true);
  await service.janitor();
  await job(id);
  expect(sum('VmLeftUnlocked')).toBe(atFirst + 1);
  expect(sum('JobSucceeded')).toBe(1);
}, 180_000);

it('counts what the janitor found, but not what a dry run would do', async () => {
  const { glance, sum, service } = await measured();
  const { config, glance: client } = service.runtime;
  await client.createImage({
    id: randomUUID(),
    name: 'left',
    diskFormat: 'vhd',
    containerFormat: 'ovf',
    visibility: 'private',
    properties: { xensnap_installation: config.installation },
  });
  await service.janitor(true);
  expect(sum('JanitorFindings')).toBe(0);
  await service.janitor();
  expect(sum('JanitorFindings')).toBe(1);
  expect(glance.images()).toEqual([]);
});
