import { expect, it, vi } from 'vitest';
import { cancelJob } from '../../functions/cancel.ts';
import type { RestoreJob } from '../../functions/job.ts';
import { tagsOf } from '../../functions/pool/tags.ts';
import { readRestoreTested, TESTED_PROPERTY } from '../../functions/restore-tested.ts';
import { nameAtWork } from '../../functions/restored.ts';
import type { Fault, VmSpec } from '../../local/pool/pool.ts';
import { askRestore, restored } from '../support/restoring.ts';
import { type Scenario, type ScenarioOptions, scenario } from '../support/scenario.ts';

/** Two VMs that were imaged, of which one has no tools. */
async function imaged(
  options: ScenarioOptions = {},
): Promise<Scenario & { images: { web: string; bare: string } }> {
  const at = await scenario({
    restarts: true,
    ...options,
    pool: { vms: 0, guestBootSeconds: 6, ...options.pool },
    vms: [
      { name: 'web', diskMib: 2, nics: [{}] },
      { name: 'bare', diskMib: 2, agent: false },
    ],
    service: { timings: { snapshotLostSeconds: 5, callSeconds: 4, testBootSeconds: 60 } },
  });
  const [web, bare] = await Promise.all(['web', 'bare'].map((vm) => at.request(vm)));
  const images = { web: web ?? '', bare: bare ?? '' };
  await Promise.all([at.job(images.web), at.job(images.bare)]);
  return { ...at, images };
}

const testing = async (at: Scenario, image: string, boot = true): Promise<RestoreJob> =>
  restored(at.service, await askRestore(at.service, image, { test: true, boot }));

const saidOn = ({ glance }: Scenario, image: string) =>
  readRestoreTested(glance.images().find(({ id }) => id === image)?.properties[TESTED_PROPERTY]);

// What each scenario leaves behind is looked at in its end: nothing.

it('proves an image as far as it is asked to, says so on it, and has its VM on no network', async () => {
  const at = await imaged();
  const { pool, images } = at;
  const disk = await testing(at, images.web, false);
  expect(disk).toMatchObject({ status: 'succeeded', reached: 'disk' });
  expect(saidOn(at, images.web)).toMatchObject({ reached: 'disk', at: disk.provenAt });
  expect(pool.calls.filter(({ method }) => /VM\.start/.test(method))).toEqual([]);
  // The host that downloaded has no room for it.
  const params = ['1', '0'];
  pool.faults.add({ method: 'VM.start_on', code: 'HOST_NOT_ENOUGH_FREE_MEMORY', params, times: 1 });
  const [tools, started] = await Promise.all([testing(at, images.web), testing(at, images.bare)]);
  expect(tools).toMatchObject({ status: 'succeeded', reached: 'tools' });
  expect(started).toMatchObject({ status: 'succeeded', reached: 'started' });
  expect(saidOn(at, images.web)).toMatchObject({ reached: 'tools', at: tools.provenAt });
  expect(pool.calls.filter(({ method }) => method === 'VIF.create')).toEqual([]);
  const made = pool.calls.filter(({ method }) => method === 'VM.create').map(({ args }) => args[1]);
  expect(made).toHaveLength(3);
  for (const record of made)
    expect(record).toMatchObject({ name_label: expect.stringMatching(/^\[xensnap restore test\] /) });
});

it('fails where the VM does not start, or its tools are not seen in time, and says so on the image', async () => {
  const at = await imaged({ pool: { guestBootSeconds: 2000 } });
  const { pool, images, glance, service } = at;
  expect(await testing(at, images.web, false)).toMatchObject({ status: 'succeeded' });
  const late = await testing(at, images.web);
  expect(late).toMatchObject({
    status: 'failed',
    error: {
      name: 'RestoreTestFailed',
      message: expect.stringContaining('guest tools were not seen within 60 s'),
    },
  });
  expect(saidOn(at, images.web)).toMatchObject({ failed: 'RestoreTestFailed', at: expect.any(String) });
  for (const method of ['VM.start_on', 'VM.start'])
    pool.faults.add({ method, code: 'HOST_NOT_ENOUGH_FREE_MEMORY', params: ['1', '0'] });
  const halted = await testing(at, images.bare);
  expect(halted.error?.message).toContain('could not start it: HOST_NOT_ENOUGH_FREE_MEMORY');
  // Glance takes no mark: the outcome is told all the same, and the janitor makes up for it.
  glance.faults.add({ method: 'PATCH', path: /images/, status: 503, times: 4 });
  const id = await askRestore(service, images.bare, { test: true });
  const told = await restored(service, id, ({ finishedAt }) => finishedAt !== undefined);
  expect(told).toMatchObject({ status: 'succeeded', warnings: [expect.stringContaining('(mark)')] });
  // A round that comes while the execution still ends leaves the job to the next.
  do await service.janitor();
  while ((await restored(service, id, () => true)).open !== undefined);
  expect(saidOn(at, images.bare)).toMatchObject({ reached: 'disk', at: told.provenAt });
  // A rotation deletes it between the look at it and its download: nothing has failed to restore.
  const look = service.runtime.glance.getImage.bind(service.runtime.glance);
  const looks = vi.spyOn(service.runtime.glance, 'getImage').mockImplementation(async (image) => {
    const found = await look(image);
    await fetch(`${glance.url}/v2/images/${image}`, { method: 'DELETE' });
    return found;
  });
  const gone = await testing(at, images.web, false);
  looks.mockRestore();
  expect(gone).toMatchObject({ status: 'cancelled', error: { name: 'ImageNotFound' } });
});

it.each<[string, Fault, string[]?]>([
  // A task that nobody knows has nothing in it by which it could be known: xapi removes it after an hour.
  [
    'its start',
    { method: 'Async.VM.start_on', drop: 'after', times: 1 },
    ['pool: tasks: more: "Async.VM.start_on"'],
  ],
  ['its start, which never arrived', { method: 'Async.VM.start_on', drop: 'before', times: 1 }],
  ['its end', { method: 'VM.hard_shutdown', drop: 'after', times: 1 }],
])('proves it although the reply to %s is lost', async (_, fault, leaves = []) => {
  const at = await imaged({ leaves });
  at.pool.faults.add(fault);
  expect(await testing(at, at.images.web)).toMatchObject({ status: 'succeeded', reached: 'tools' });
});

it('leaves no running VM when it is cancelled, or the service is killed, and nothing says that it was proved', async () => {
  const at = await imaged({ pool: { guestBootSeconds: 2000 } });
  const { service, images, pool, clock } = at;
  const booting = async () => {
    const id = await askRestore(service, images.web, { test: true, boot: true });
    return restored(service, id, ({ bootedAt }) => bootedAt !== undefined);
  };
  const cancelled = await booting();
  await cancelJob(cancelled, service.runtime, 'somebody');
  expect(await restored(service, cancelled.id)).toMatchObject({ status: 'cancelled' });
  expect(saidOn(at, images.web)).toBeUndefined();
  // As if its VM had come after everybody had given up on it.
  const { installation } = service.runtime.config;
  const late = {
    name: nameAtWork(cancelled),
    kind: 'noDisk',
    otherConfig: tagsOf(cancelled.id, installation),
  };
  const { uuid } = await pool.addVm(late as VmSpec);
  const { findings } = await service.janitor();
  expect(findings).toEqual([expect.objectContaining({ id: uuid, action: 'removed' })]);
  const killed = await booting();
  while ((await pool.inventory()).sessions > 0) await clock.sleep(0.2);
  const done = await restored(await at.restart(), killed.id);
  expect(done).toMatchObject({ status: 'failed', error: { name: 'Interrupted' } });
  expect(saidOn(at, images.web)).toMatchObject({ failed: 'Interrupted' });
});

it('ends a start that takes its time when the test is cancelled meanwhile', async () => {
  const at = await imaged({ pool: { vmStartSeconds: 900 } });
  const { service, images, pool } = at;
  const id = await askRestore(service, images.web, { test: true, boot: true });
  const starting = await restored(service, id, ({ bootTask }) => bootTask !== undefined);
  await cancelJob(starting, service.runtime, 'somebody');
  expect(await restored(service, id)).toMatchObject({ status: 'cancelled' });
  const destroys = pool.calls.filter(({ method }) => method === 'VM.destroy');
  expect(destroys.filter(({ error }) => error !== undefined)).toEqual([]);
});
