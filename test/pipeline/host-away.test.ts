import { expect, it } from 'vitest';
import type { SnapshotJob } from '../../functions/job.ts';
import type { VmSpec } from '../../local/pool/pool.ts';
import { isSettled } from '../support/job-when.ts';
import { POOL_NAME, type Scenario, type ScenarioOptions, scenario } from '../support/scenario.ts';

const timings = {
  hostAwaySeconds: 20,
  hostAwayClosingSeconds: 10,
  hostAwayPollSeconds: 2,
  coalesceMaxSeconds: 3,
  uploadRetrySeconds: 1,
  callSeconds: 4,
};
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

/** The job once its outcome is told and its VM is free, which reconcile may have to see to. */
async function over(at: Uploading): Promise<SnapshotJob> {
  await at.job(at.id, ({ finishedAt }) => finishedAt !== undefined);
  await until(at, async () => (await holder(at)) === undefined);
  return at.job(at.id, ({ stepUntil, claimedBy }) => stepUntil === undefined && claimedBy === undefined);
}

async function holder({ service, pool }: Scenario) {
  return service.runtime.store.leases.holderOfVm(POOL_NAME, pool.vm('far').uuid);
}

/** Looks again and again, with a few seconds in between; the test's own timeout ends it otherwise. */
async function until({ clock }: Scenario, holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await clock.sleep(5);
}

const snapshotsOf = async ({ pool }: Scenario) =>
  (await pool.inventory()).vms.filter((each) => each.isSnapshot);

/** How a host goes away in the middle of an upload, and how it comes back. */
const WAYS = {
  'has no power': { away: { live: false }, back: { live: true } },
  hangs: { away: { hangs: true }, back: { hangs: false } },
} as const;

type Uploading = Awaited<ReturnType<typeof uploading>>;

/** The host comes back; of the VMs that it had, those that were not started elsewhere are started. */
async function comeBack(at: Uploading, way: keyof typeof WAYS): Promise<void> {
  await at.pool.setHost(at.host.uuid, WAYS[way].back);
  if (at.pool.vm('far').record().power_state === 'Halted') at.pool.vm('far').setPowerState('Running');
  await at.service.janitor();
  expect(isSettled(await at.job(at.id))).toBe(true);
  at.goOn();
}

const ways = Object.keys(WAYS) as (keyof typeof WAYS)[];

it.each(ways)(
  'gives the VM back and destroys the snapshot when a host that reads its files %s',
  async (way) => {
    const at = await uploading({});
    await at.pool.setHost(at.host.uuid, WAYS[way].away);
    await at.job(at.id, ({ hostAwaySince }) => hostAwaySince !== undefined);
    const { waiting } = (await at.ask('GET', `/snapshots/${at.id}`)).body;
    expect(waiting).toMatchObject({ for: 'host', since: expect.any(String) });
    expect(Date.parse(waiting.until) - Date.parse(waiting.since)).toBe(timings.hostAwaySeconds * 1000);
    const job = await over(at);
    expect(job).toMatchObject({
      status: 'failed',
      error: { name: 'HostUnreachable' },
      uploadSource: 'chain',
    });
    expect(job.error?.message).toMatch(/Host "xen2" has not answered/);
    // The guest is, by the database, still that host's; in the database it is locked.
    expect([...(job.debts ?? [])].toSorted()).toEqual(['plugin', 'relock', 'slot']);
    const { owing } = (await at.ask('GET', `/snapshots/${at.id}`)).body;
    expect(owing).toMatchObject({ holdsVm: false });
    expect(owing.message).toMatch(
      /^It has still to see its upload stopped, lock the VM and give back its place on the host\..* waits until the host "xen2" answers or has left the pool, and the VM does not wait with it\. /,
    );
    expect(at.pool.vm('far').record().xenstore_data).toMatchObject({ 'vm-data/allowvssprovider': 'false' });
    expect(await snapshotsOf(at)).toEqual([]);
    expect(at.glance.images()).toEqual([]);
    await until(at, async () => {
      const { findings } = await at.service.janitor();
      return findings.some((finding) => {
        const { kind, id, action } = finding;
        return (
          kind === 'job' &&
          id === at.id &&
          action === 'left' &&
          finding.what.includes('until host "xen2" answers')
        );
      });
    });
    await comeBack(at, way);
  },
);

it.each(ways.flatMap((way) => (['StartUpload', 'RelockVm'] as const).map((step) => [way, step] as const)))(
  'gives the VM back, which is locked in the database, when its host %s at %s',
  async (way, step) => {
    let goAway: (() => Promise<void>) | undefined;
    const at = await scenario({
      vms: [vm],
      pool: { vms: 0, hosts: 2, gcQuietSeconds: 1e6 },
      service: {
        timings,
        aroundStep: async (name, _job, run) => {
          if (name === step) await goAway?.();
          return run();
        },
      },
    });
    const host = at.pool.hosts.find(({ name }) => name === 'xen2') as Scenario['pool']['hosts'][number];
    goAway = () => at.pool.setHost(host.uuid, WAYS[way].away);
    const id = await at.request('far');
    const told = await at.job(id, ({ finishedAt }) => finishedAt !== undefined);
    expect(told.error?.name ?? told.status).toBe(step === 'RelockVm' ? 'succeeded' : 'HostUnreachable');
    await until(at, async () => {
      await at.service.janitor();
      return (await holder(at)) === undefined;
    });
    expect([...((await at.job(id, () => true)).debts ?? [])]).toEqual(['relock']);
    expect(at.pool.vm('far').record().xenstore_data).toMatchObject({ 'vm-data/allowvssprovider': 'false' });
    await comeBack({ ...at, id, host, started: told, goOn: () => {} }, way);
  },
);

it('images a VM again that was started elsewhere, while its first host still owes', async () => {
  const at = await uploading({});
  await at.pool.setHost(at.host.uuid, { live: false });
  await over(at);
  // This is what high availability does.
  at.pool.vm('far').migrate(at.pool.hosts[0]?.uuid ?? '');
  expect(await at.job(await at.request('far'))).toMatchObject({ status: 'succeeded', hostName: 'xen1' });
  await comeBack(at, 'has no power');
});

it('asks nothing more of a host that has left the pool', async () => {
  const at = await uploading({
    leaves: [
      expect.stringMatching(/^pool: vms: gone: [^;]*"Control domain on host: xen2"[^;]*$/),
      // Its own, and that of the VM which is halted now.
      expect.stringMatching(
        /^pool: locks: more: [^;]*"live":null,"database":"false"[^;]*(; gone: [^;]*){2}$/,
      ),
    ],
  });
  await at.pool.setHost(at.host.uuid, { live: false });
  await over(at);
  await at.pool.ejectHost(at.host.uuid);
  await at.service.janitor();
  const job = await at.job(at.id);
  expect([isSettled(job), job.status]).toEqual([true, 'failed']);
  expect(await snapshotsOf(at)).toEqual([]);
  expect(await holder(at)).toBeUndefined();
});

it.each(ways)('goes on with the upload, if it can, of a host that %s for a while', async (way) => {
  const at = await uploading({});
  await at.pool.setHost(at.host.uuid, WAYS[way].away);
  await at.job(at.id, ({ hostAwaySince }) => hostAwaySince !== undefined);
  await at.pool.setHost(at.host.uuid, WAYS[way].back);
  await at.job(at.id, ({ hostAwaySince }) => hostAwaySince === undefined);
  if (way === 'has no power') at.pool.vm('far').setPowerState('Running');
  at.goOn();
  const attempts = way === 'hangs' ? 1 : 2;
  expect(await at.job(at.id)).toMatchObject({ status: 'succeeded', uploadAttempts: attempts });
});

it.each(ways)(
  'keeps a snapshot that a host which %s has attached until it is back, but not its VM',
  async (way) => {
    const at = await uploading({ vms: [{ ...vm, sr: 'lvmoiscsi' }] });
    await at.pool.setHost(at.host.uuid, WAYS[way].away);
    const job = await over(at);
    expect(job).toMatchObject({
      status: 'failed',
      error: { name: 'HostUnreachable' },
      uploadSource: 'export',
    });
    expect([...(job.debts ?? [])].toSorted()).toEqual(['plugin', 'relock', 'slot', 'snapshot']);
    expect(await snapshotsOf(at)).toHaveLength(1);
    await comeBack(at, way);
  },
);

it.each(ways)(
  'ends as cancelled, with the VM free, when its caller cancels while the host %s',
  async (way) => {
    const at = await uploading({});
    await at.pool.setHost(at.host.uuid, WAYS[way].away);
    expect((await at.ask('DELETE', `/snapshots/${at.id}`)).status).toBe(202);
    expect((await over(at)).status).toBe('cancelled');
    await until(at, async () => {
      await at.service.janitor();
      return (await holder(at)) === undefined && (await snapshotsOf(at)).length === 0;
    });
    await comeBack(at, way);
  },
);
