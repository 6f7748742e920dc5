import { expect, it } from 'vitest';
import type { Job } from '../../functions/job.ts';
import type { VmSpec } from '../../local/pool/pool.ts';
import { isSettled, POOL_NAME, type Scenario, type ScenarioOptions, scenario } from '../support/scenario.ts';

const timings = { hostAwaySeconds: 20, hostAwayPollSeconds: 2, coalesceMaxSeconds: 3, uploadRetrySeconds: 1 };
const vm: VmSpec = { name: 'far', host: 'xen2', sr: 'nfs', diskMib: 64, dataMib: 24, baseCopies: 1 };

/** A VM on the second host, whose upload from there stands still in Glance. */
async function uploading(options: ScenarioOptions, request: object = {}) {
  const goOn = Promise.withResolvers<void>();
  const at = await scenario({
    vms: [vm],
    ...options,
    pool: { vms: 0, hosts: 2, gcQuietSeconds: 1e6, ...options.pool },
    service: { timings },
  });
  at.glance.faults.add({ method: 'PUT', path: /\/file$/, afterBytes: 1000, hold: goOn.promise });
  const started = new Promise<void>((resolve) => {
    at.glance.onUpload(({ event }) => event === 'started' && resolve());
  });
  const id = await at.request('far', request);
  await started;
  const job = await at.job(
    id,
    ({ phase, uploadSource }) => phase === 'PollUpload' && uploadSource !== undefined,
  );
  const host = at.pool.hosts.find(({ name }) => name === 'xen2') as Scenario['pool']['hosts'][number];
  return { ...at, id, host, started: job, goOn: goOn.resolve };
}

const isTold = (job: Job) => job.finishedAt !== undefined && job.stepUntil === undefined;

async function holder({ service, pool }: Scenario) {
  return service.runtime.store.leases.holderOfVm(POOL_NAME, pool.vm('far').uuid);
}

const snapshotsOf = async ({ pool }: Scenario) =>
  (await pool.inventory()).vms.filter((each) => each.isSnapshot);

it('gives the VM back and destroys the snapshot when the host that reads its files stays away', async () => {
  const at = await uploading({});
  at.pool.setHost(at.host.uuid, { live: false });
  const job = await at.job(at.id, isTold);
  expect(job).toMatchObject({ status: 'failed', error: { name: 'HostUnreachable' }, uploadSource: 'chain' });
  expect(job.error?.message).toMatch(/Host "xen2" has not answered/);
  expect([...(job.debts ?? [])].toSorted()).toEqual(['plugin', 'slot']);
  expect(await holder(at)).toBeUndefined();
  expect(await snapshotsOf(at)).toEqual([]);
  expect(at.pool.vm('far').record().xenstore_data).toMatchObject({ 'vm-data/allowvssprovider': 'false' });
  expect(at.glance.images()).toEqual([]);
  // High availability starts the VM elsewhere: it can be imaged there at once.
  at.pool.vm('far').migrate(at.pool.hosts[0]?.uuid ?? '');
  expect(await at.job(await at.request('far'))).toMatchObject({ status: 'succeeded', hostName: 'xen1' });
  expect((await at.service.janitor()).findings).toMatchObject([
    { kind: 'job', id: at.id, action: 'left', what: expect.stringContaining('until host "xen2" answers') },
  ]);
  // Back again, with its reader still at work: that one is told to stop, and nothing is owed any more.
  at.pool.setHost(at.host.uuid, { live: true });
  await at.service.janitor();
  expect(isSettled(await at.job(at.id))).toBe(true);
  at.goOn();
  expect(await at.leftBehind()).toEqual([]);
});

it('goes on with the upload of a host that was away for a while', async () => {
  const at = await uploading({});
  at.pool.setHost(at.host.uuid, { live: false });
  await at.job(at.id, ({ hostAwaySince }) => hostAwaySince !== undefined);
  at.pool.setHost(at.host.uuid, { live: true });
  await at.job(at.id, ({ hostAwaySince }) => hostAwaySince === undefined);
  at.goOn();
  expect(await at.job(at.id)).toMatchObject({ status: 'succeeded', uploadAttempts: 1 });
  expect(await at.leftBehind()).toEqual([]);
});

it('keeps a snapshot that the host has attached until the host is back, but not its VM', async () => {
  const at = await uploading({ vms: [{ ...vm, sr: 'lvmoiscsi' }] });
  at.pool.setHost(at.host.uuid, { live: false });
  const job = await at.job(at.id, isTold);
  expect(job).toMatchObject({ status: 'failed', error: { name: 'HostUnreachable' }, uploadSource: 'export' });
  expect([...(job.debts ?? [])].toSorted()).toEqual(['plugin', 'slot', 'snapshot']);
  expect(await holder(at)).toBeUndefined();
  expect(await snapshotsOf(at)).toHaveLength(1);
  at.pool.setHost(at.host.uuid, { live: true });
  at.goOn();
  await at.service.janitor();
  expect(isSettled(await at.job(at.id))).toBe(true);
  expect(await at.leftBehind()).toEqual([]);
});

it('ends as cancelled, with the VM free, when its caller cancels while the host is away', async () => {
  const at = await uploading({});
  at.pool.setHost(at.host.uuid, { live: false });
  expect((await at.ask('DELETE', `/snapshots/${at.id}`)).status).toBe(202);
  const job = await at.job(at.id, isTold);
  expect(job.status).toBe('cancelled');
  while ((await holder(at)) !== undefined) await at.clock.sleep(1);
  expect(await snapshotsOf(at)).toEqual([]);
  at.pool.setHost(at.host.uuid, { live: true });
  await at.service.janitor();
  expect(isSettled(await at.job(at.id))).toBe(true);
  at.goOn();
  expect(await at.leftBehind()).toEqual([]);
});
