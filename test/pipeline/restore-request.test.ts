import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { requestRestore } from '../../functions/restore-request.ts';
import type { RestoreWish } from '../../functions/restore-wish.ts';
import { restored, takeAway } from '../support/restoring.ts';
import { POOL_NAME, type Scenario, scenario } from '../support/scenario.ts';

const PROJECT = 'blue';

async function imaged(networks = [{ name: 'front' }]): Promise<Scenario & { image: string }> {
  const at = await scenario({ pool: { vms: 1, diskMib: 2, networks } });
  const image = await at.request('web-1');
  await at.job(image);
  return { ...at, image };
}

it('refuses what can be known beforehand, and leaves nothing of it', async () => {
  const { pool, service, image, ask } = await imaged();
  const refused = async (wish: Partial<RestoreWish>) =>
    requestRestore({ image, ...wish }, service.runtime).then(
      () => 'taken',
      (error: Error) => `${error.name}: ${error.message}`,
    );
  expect(await refused({ image: randomUUID() })).toMatch(/^ImageNotFound/);
  expect(await refused({ pool: 'other' })).toMatch(/^PoolNotFound/);
  expect(await refused({ sr: 'nowhere' })).toMatch(/^BadRequest: sr: /);
  expect(await refused({ sr: 'Local storage' })).toMatch(/^BadRequest: sr: 2 SRs are named/);
  expect(await refused({ networks: { '0': 'nowhere' } })).toMatch(/^BadRequest: networks.0: .*"front"/);
  expect(await refused({ networks: { '7': 'front' } })).toBe(
    'BadRequest: networks.7: the VM had no interface 7; it had 0.',
  );
  expect(await refused({ name: '' })).toMatch(/^BadRequest: name: /);
  expect(await refused({ disksOnly: true, start: true })).toMatch(/^BadRequest: disksOnly: /);
  expect(await refused({ boot: true })).toMatch(/^BadRequest: boot: /);
  expect(await refused({ test: true, macs: 'new' })).toMatch(/^BadRequest: macs: /);
  expect(await refused({ project: PROJECT })).toMatch(/^(Forbidden|ImageNotFound)/);
  const sr = pool.srs.find(({ name }) => name === 'NFS shared storage');
  await pool.fillSr(sr?.uuid ?? '', true);
  // xapi hears of it with a scan.
  await service.runtime.withSession(POOL_NAME, (xapi) => xapi.call('SR.scan', sr?.ref as never));
  expect(await refused({ sr: sr?.uuid ?? '' })).toMatch(/^StorageFull/);
  expect(await ask('POST', '/restores', { image, sr: sr?.uuid })).toMatchObject({ status: 409 });
  expect(await service.runtime.store.jobs.countOpen()).toBe(0);
});

it('acts once on a key, and tells a request for something else from the first', async () => {
  const { service, image } = await imaged();
  const wish = { image, idempotency: { key: 'k', request: 'r' } };
  const first = await requestRestore(wish, service.runtime);
  const second = await requestRestore(wish, service.runtime);
  expect([first.created, second.created, second.job.id]).toEqual([true, false, first.job.id]);
  const other = { ...wish, idempotency: { key: 'k', request: 'other' } };
  await expect(requestRestore(other, service.runtime)).rejects.toMatchObject({ name: 'IdempotencyConflict' });
  await takeAway(service, await restored(service, first.job.id));
});

it('refuses a name that several networks have, and names them by their UUIDs', async () => {
  const { service, image } = await imaged([{ name: 'twin' }, { name: 'twin' }]);
  const all = await service.runtime.withSession(POOL_NAME, (xapi) => xapi.call('network.get_all_records'));
  const twins = Object.values(all).flatMap(({ uuid, name_label }) => (name_label === 'twin' ? uuid : []));
  await expect(requestRestore({ image, networks: { '0': 'twin' } }, service.runtime)).rejects.toThrow(
    `networks.0: 2 networks are named "twin". Name one by its UUID: ${twins.join(', ')}.`,
  );
  const { job } = await requestRestore({ image, networks: { '0': twins[0] ?? '' } }, service.runtime);
  await takeAway(service, await restored(service, job.id));
});

it('puts interfaces where it was asked to', async () => {
  const { pool, service, image } = await imaged();
  const { job } = await requestRestore({ image, networks: { '0': 'front' } }, service.runtime);
  const done = await restored(service, job.id);
  const vif = pool.record('VM', String(done.vmRef)).VIFs as string[];
  const network = String(pool.record('VIF', vif[0] ?? '').network);
  expect(pool.record('network', network).name_label).toBe('front');
  await takeAway(service, done);
});

it('warns of an interface that was not, where only the data of the image says which there were', async () => {
  const { glance, service, image } = await imaged();
  const { status } = await fetch(`${glance.url}/v2/images/${image}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/openstack-images-v2.1-json-patch' },
    body: JSON.stringify([
      { op: 'replace', path: '/xensnap_vm_config', value: '{}' },
      { op: 'replace', path: '/min_disk', value: 1 },
    ]),
  });
  expect(status).toBe(200);
  const { job } = await requestRestore({ image, networks: { '7': 'front' } }, service.runtime);
  const done = await restored(service, job.id);
  expect(done.warnings).toContain('No interface 7 was put on a network: the VM had none there.');
  await takeAway(service, done);
});
