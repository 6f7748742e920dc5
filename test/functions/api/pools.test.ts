import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { aJob } from './a-job.ts';
import { type ServedApi, serveApi } from './served-api.ts';

let api: ServedApi;
beforeAll(async () => {
  api = await serveApi({ pool: { vms: 2, hosts: 2 } });
});
afterAll(() => api[Symbol.asyncDispose]());

it('lists the VMs proper of the pool, with the job that has each', async () => {
  const { uuid } = api.pool.vm('db-1');
  await api.runtime.store.leases.takeVm('demo', uuid, randomUUID());
  const { status, body } = await api.ask('GET', '/vms');
  expect(status).toBe(200);
  const holder = await api.runtime.store.leases.holderOfVm('demo', uuid);
  expect(body.vms).toMatchObject([
    { uuid, name: 'db-1', pool: 'demo', powerState: 'Running', host: 'xen2', job: holder },
    { name: 'web-1', host: 'xen1', rootDiskBytes: 4 * 2 ** 20, rootDevice: '0', job: null },
  ]);
});

it('asks the pool as often for many VMs as for few', async () => {
  const callsOf = async () => {
    const before = api.pool.calls.length;
    await api.ask('GET', '/vms');
    return api.pool.calls.length - before;
  };
  const few = await callsOf();
  for (let n = 0; n < 10; n += 1)
    await api.pool.addVm({ name: `more-${n}`, sr: 'nfs', diskMib: 4, dataMib: 0 });
  expect(await callsOf()).toBe(few);
  expect(few).toBeLessThanOrEqual(6);
});

it('lists the hosts with their slots and the jobs that hold or wait for one', async () => {
  const [first, second] = api.pool.hosts;
  const group = `demo/${first?.uuid}`;
  const holder = randomUUID();
  await api.runtime.store.counters.take(`host#${group}`, holder, 2);
  for (const ticketState of ['waiting', 'waiting', 'granted'] as const)
    await api.runtime.store.jobs.create(aJob({ group, ticketState }));
  const { status, body } = await api.ask('GET', '/hosts');
  expect(status).toBe(200);
  expect(body.hosts).toEqual([
    { uuid: first?.uuid, name: 'xen1', pool: 'demo', slots: 2, holders: [holder], waiting: 2 },
    { uuid: second?.uuid, name: 'xen2', pool: 'demo', slots: 2, holders: [], waiting: 0 },
  ]);
});

it('names the pool that does not answer, and says when to ask again', async () => {
  await api.pool.setReachable(false);
  try {
    for (const path of ['/vms', '/hosts']) {
      const { status, headers, body } = await api.ask('GET', path);
      expect([status, body.error.name, body.error.pool]).toEqual([503, 'PoolUnreachable', 'demo']);
      expect(headers.get('retry-after')).toMatch(/^\d+$/);
    }
  } finally {
    await api.pool.setReachable(true);
  }
});

it('says which login a pool refused, and not with which password', async () => {
  const wrong = JSON.stringify({ username: 'root', password: 'wrong-secret' });
  await using other = await serveApi({ pool: { vms: 0, password: 'right' }, secret: wrong });
  const { status, body } = await other.ask('GET', '/vms');
  expect([status, body.error.name]).toEqual([503, 'PoolLoginRefused']);
  expect(JSON.stringify([body, other.log])).not.toContain('wrong-secret');
});

it('answers 501 where every pool is of a driver that is not implemented', async () => {
  const pools = [{ name: 'kvm', driver: 'libvirt' }];
  await using other = await serveApi({ pool: { vms: 0 }, config: { pools } });
  expect((await other.ask('GET', '/vms')).status).toBe(501);
  expect((await other.ask('POST', '/snapshots', { vm: 'x' })).body.error.name).toBe('DriverNotImplemented');
});
