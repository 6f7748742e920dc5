import { expect, it } from 'vitest';
import { createApi } from '../../functions/api/app.ts';
import { parseConfig } from '../../functions/config.ts';
import { releaseSlotOf } from '../../functions/queue/wake.ts';
import { hostGroup, slotsOfHost } from '../../functions/store/counters.ts';
import type { VmSpec } from '../../local/pool/pool.ts';
import { restored } from '../support/restoring.ts';
import { POOL_NAME, type Scenario, scenario } from '../support/scenario.ts';

const SPEC: VmSpec = { name: 'red-shop', diskMib: 2, powerState: 'Halted' };

/** Two projects, each with a VM; the first has imaged its own. */
async function ofProjects() {
  const at = await scenario({ pool: { vms: 0 }, vms: [SPEC, { ...SPEC, name: 'blue-shop' }] });
  const { config } = at.service.runtime;
  const restore = { srs: at.pool.srs.map(({ uuid }) => uuid) };
  const projects = {
    red: { vmNamePatterns: ['red-*'], restore },
    blue: { vmNamePatterns: ['blue-*'], restore },
  };
  Object.assign(config, parseConfig(JSON.stringify({ ...config, projects, imagesBelongTo: 'service' })));
  const ask = async (projectId: string, method: string, path: string, body?: object) => {
    const lambda = { projectId, userId: 'u', role: 'member' };
    const response = await createApi(at.service.runtime).request(
      path,
      {
        method,
        headers: { 'content-type': 'application/json' },
        ...(body && { body: JSON.stringify(body) }),
      },
      { event: { requestContext: { authorizer: { lambda } } } },
    );
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
  };
  const { body } = await ask('red', 'POST', '/snapshots', { vm: 'red-shop', force: true });
  await at.job(body.id);
  return { ...at, ask, image: String(body.id) };
}

const rename = ({ service }: Pick<Scenario, 'service'>, vm: string, name: string) =>
  service.runtime.withSession(POOL_NAME, (xapi) => xapi.call('VM.set_name_label', vm as never, name));

it('has no project touch another’s VM, or what was kept of it', async () => {
  const at = await ofProjects();
  const { ask, image, pool, service } = at;
  const answer = async (...request: Parameters<typeof ask>) => {
    const { status, body } = await ask(...request);
    return `${status} ${body?.error?.name ?? ''}`;
  };
  expect(await answer('blue', 'POST', '/restores', { image, into: 'blue-shop' })).toBe('404 ImageNotFound');
  for (const into of ['blue-shop', pool.vm('blue-shop').uuid])
    expect(await answer('red', 'POST', '/restores', { image, into })).toBe('404 VmNotFound');
  const { body } = await ask('red', 'POST', '/restores', { image, into: 'red-shop' });
  const job = await restored(service, body.id);
  expect(job).toMatchObject({ status: 'succeeded' });
  const seenBy = async (project: string) => (await ask(project, 'GET', '/restores/kept')).body.kept;
  expect([(await seenBy('red')).length, await seenBy('blue')]).toEqual([1, []]);
  const undo = (project: string) => answer(project, 'POST', `/restores/${job.id}/undo`);
  const destroy = (project: string) => answer(project, 'DELETE', `/restores/${job.id}/kept`);
  for (const request of [undo, destroy]) expect(await request('blue')).toBe('404 JobNotFound');
  // It is given to the other project.
  const { ref } = pool.vm('red-shop');
  await rename(at, ref, 'blue-second');
  for (const request of [undo, destroy]) expect(await request('red')).toBe('404 VmNotFound');
  await rename(at, ref, 'red-shop');
  expect(await undo('red')).toBe('200 ');
  expect(await destroy('red')).toBe('204 ');
});

it('leaves a VM alone that is another project’s by the time that the disk is there', async () => {
  const at = await ofProjects();
  const { ask, image, pool, service, glance } = at;
  const goOn = Promise.withResolvers<void>();
  glance.faults.add({ method: 'GET', path: /\/file$/, hold: goOn.promise, times: 1 });
  const { body } = await ask('red', 'POST', '/restores', { image, into: 'red-shop' });
  await restored(service, body.id, ({ phase }) => phase === 'PollDownload');
  const { ref } = pool.vm('red-shop');
  await rename(at, ref, 'blue-second');
  goOn.resolve();
  const job = await restored(service, body.id);
  expect(job).toMatchObject({ status: 'failed', error: { name: 'VmChanged' } });
  await rename(at, ref, 'red-shop');
  expect(pool.vm('red-shop').rootVdi?.uuid).toBe(job.into?.diskUuid);
});

it('images no VM that is another project’s by the time that its job has a slot', async () => {
  const at = await ofProjects();
  const { ask, pool, service } = at;
  const host = hostGroup(POOL_NAME, pool.hosts[0]?.uuid ?? '');
  const others = ['a', 'b'];
  for (const other of others)
    await service.runtime.store.counters.take(slotsOfHost(host), other, others.length);
  const { body } = await ask('red', 'POST', '/snapshots', { vm: 'red-shop', force: true });
  await at.job(body.id, ({ ticketState }) => ticketState === 'waiting');
  const { ref } = pool.vm('red-shop');
  await rename(at, ref, 'blue-second');
  for (const other of others) await releaseSlotOf(slotsOfHost(host), other, service.runtime);
  expect(await at.job(body.id)).toMatchObject({ status: 'failed', error: { name: 'VmChanged' } });
  // Those of the image that is there.
  expect(pool.calls.filter(({ method }) => method === 'VM.set_xenstore_data')).toHaveLength(2);
  await rename(at, ref, 'red-shop');
});

it('writes nothing on another project’s image that it has tested, nor into its report', async () => {
  const at = await ofProjects();
  const { ask, glance, image, service } = at;
  const shared = glance.images().find(({ id }) => id === image);
  await service.runtime.glance.updateImage(image, { visibility: 'public' } as never);
  const { body } = await ask('blue', 'POST', '/restores', { image, test: true });
  expect(await restored(service, body.id)).toMatchObject({ status: 'succeeded' });
  expect(glance.images().find(({ id }) => id === image)?.properties).toEqual(shared?.properties);
  const own = await ask('red', 'POST', '/restores', { image, test: true });
  expect(await restored(service, own.body.id)).toMatchObject({ status: 'succeeded' });
  expect(glance.images().find(({ id }) => id === image)?.properties.xensnap_restore_tested).toBeDefined();
});
