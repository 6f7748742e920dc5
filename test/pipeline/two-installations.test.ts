import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { noteOpening } from '../../functions/pool/lock.ts';
import { TAGS, tag, untag } from '../../functions/pool/tags.ts';
import { disksOf } from '../../functions/pool/template.ts';
import type { Fault } from '../../local/pool/faults.ts';
import { type LocalService, startService } from '../../local/service.ts';
import type { ServiceOptions } from '../../local/service-options.ts';
import { createPoolClient } from '../../xapi/client.ts';
import type { Session } from '../../xapi/session.ts';
import type { Ref } from '../../xapi/types.ts';
import { isSettled, jobWhen } from '../support/job-when.ts';
import {
  askApi,
  glanceOf,
  poolOf,
  type Scenario,
  type ScenarioOptions,
  scenario,
} from '../support/scenario.ts';

const LOCK = 'vm-data/allowvssprovider';

/** Two services with folders and names of their own on one pool and one Glance. */
async function twoInstallations(
  options: Pick<ScenarioOptions, 'pool' | 'vms'>,
  service: Partial<ServiceOptions>,
) {
  // Two snapshots of one disk leave a chain that the coalescer, which comes after minutes, has work with.
  const shared = { ...service, timings: { coalesceMaxSeconds: 1 } };
  const one = await scenario({ ...options, speed: 10, service: shared });
  const other = await startService({
    dataDir: join(one.folder, 'another-service'),
    pools: [poolOf(one.pool)],
    glance: glanceOf(one.glance),
    clock: one.clock,
    janitorSeconds: 86_400,
    ...shared,
  });
  onTestFinished(() => other.close());
  return { ...one, services: [one.service, other] as const };
}

async function asOperator<T>(
  { pool }: Pick<Scenario, 'pool'>,
  use: (xapi: Session) => Promise<T>,
): Promise<T> {
  const client = createPoolClient({ addresses: [pool.url], originator: 'operator' });
  try {
    return await client.withSession({ username: pool.username, password: pool.password }, use);
  } finally {
    await client.close();
  }
}

/** A call of the pool, and the state that a job must reach before it goes on; it holds whichever of the two comes first. */
const moments: readonly [method: string | null, skip: number, until: string][] = [
  [null, 0, ''],
  ['VM.add_to_other_config', 0, 'AwaitCoalesce'],
  ['VM.add_to_other_config', 1, 'RelockVm'],
  ['VDI.add_to_other_config', 0, 'StartSnapshot'],
  ['VM.set_xenstore_data', 0, 'PollSnapshot'],
  ['Async.VM.snapshot', 0, 'AwaitCoalesce'],
  ['Async.VM.snapshot', 1, 'RelockVm'],
  ['VM.snapshot', 0, 'RelockVm'],
  ['VM.remove_from_other_config', 0, 'DestroySnapshot'],
  ['VDI.destroy', 0, 'ReleaseHost'],
  ['VM.set_xenstore_data', 2, 'ReleaseHost'],
  ['VM.get_other_config', 0, 'ReleaseHost'],
];

it.each([
  ['lock', true, 'false'],
  ['restore', true, 'false'],
  ['restore', false, undefined],
] as const)(
  'image one VM at the same moment, whatever comes first, and "%s" it (locked: %s)',
  async (relock, locked, expected) => {
    const reached = new Map<string, () => void>();
    const { pool, services, clock, leftBehind } = await twoInstallations(
      { pool: { vms: 0 }, vms: [{ name: 'shared', diskMib: 2, locked }] },
      { relock, onState: (_job, state) => reached.get(state)?.() },
    );
    const vm = pool.vm('shared');
    for (const [method, skip, until] of relock === 'lock'
      ? moments
      : moments.filter((_, nth) => nth % 3 === 1)) {
      const when = `${method} ${skip} held until ${until}`;
      const { promise, resolve } = Promise.withResolvers<void>();
      reached.set(until, resolve);
      // Where none comes there, because it waits for the one that is held.
      void clock.sleep(60).then(resolve);
      const fault: Fault[] = method === null ? [] : [{ method, skip, times: 1, hold: promise }];
      const mend = fault.map((each) => pool.faults.add(each));
      const ids = await Promise.all(
        services.map(
          async (service) => (await askApi(service, 'POST', '/snapshots', { vm: 'shared' })).body.id,
        ),
      );
      const [one, other] = services;
      const jobs = await Promise.all([jobWhen(one, ids[0], isSettled), jobWhen(other, ids[1], isSettled)]);
      for (const take of mend) take();
      reached.clear();
      expect(
        jobs.map(({ status, error }) => error?.name ?? status),
        when,
      ).toEqual(['succeeded', 'succeeded']);
      expect(
        jobs.map(({ lockBefore }) => lockBefore),
        when,
      ).toEqual(jobs.map(() => (locked ? 'false' : null)));
      expect(vm.liveXenstore()?.[LOCK], when).toBe(expected);
      for (const { janitor } of services) expect((await janitor()).findings, when).toEqual([]);
      await expect.poll(leftBehind, { message: when, timeout: 30_000 }).toEqual([]);
    }
  },
  600_000,
);

it('both make a quiesced snapshot of one VM, which neither locks while the other does', async () => {
  const { pool, services, clock, leftBehind } = await twoInstallations(
    { pool: { vms: 0, quiesce: true }, vms: [{ name: 'shared', diskMib: 2 }] },
    {},
  );
  const [one, other] = services;
  const asked = async (service: LocalService) =>
    (await askApi(service, 'POST', '/snapshots', { vm: 'shared', quiesce: 'require' })).body.id;
  // The one's call comes to its guest when the other has long been at its end.
  const { promise, resolve } = Promise.withResolvers<void>();
  pool.faults.add({ method: 'Async.VM.snapshot_with_quiesce', times: 1, hold: promise });
  const first = await asked(one);
  await jobWhen(one, first, ({ phase }) => phase === 'StartSnapshot');
  const second = await asked(other);
  await jobWhen(other, second, ({ phase }) => phase === 'RelockVm');
  await clock.sleep(5);
  expect(pool.vm('shared').liveXenstore()?.[LOCK]).toBeUndefined();
  resolve();
  const jobs = await Promise.all([jobWhen(one, first, isSettled), jobWhen(other, second, isSettled)]);
  expect(jobs.map(({ consistency, error }) => error?.name ?? consistency)).toEqual(['quiesced', 'quiesced']);
  expect(pool.vm('shared').liveXenstore()?.[LOCK]).toBe('false');
  await expect.poll(leftBehind, { timeout: 30_000 }).toEqual([]);
});

const tagsOfAnother = expect.stringMatching(
  /^pool: vms: more: [^;]*:lock":"[^;]*\\"another\\"[^;]*; gone: [^;]*$/,
);

it('locks the VM all the same where the other’s job died in the middle, a quarter of an hour later', async () => {
  const at = await scenario({ leaves: [tagsOfAnother] });
  const { pool, request, job } = at;
  const vm = pool.vm('web-1');
  const dead = { jobId: randomUUID(), installation: 'another' };
  const sinceThen = (minutes: number) => new Date(at.clock.now().getTime() - minutes * 60_000);
  await asOperator(at, async (xapi) => {
    await noteOpening(xapi, vm.ref as Ref<'VM'>, { ...dead, before: 'false', now: sinceThen(16) });
    await tag(xapi, vm.ref as Ref<'VM'>, [], dead);
  });
  expect(await job(await request('web-1'))).toMatchObject({ status: 'succeeded' });
  expect(vm.liveXenstore()?.[LOCK]).toBe('false');
});

it('leaves the VM open for another’s snapshot until that is made', async () => {
  const at = await scenario({ speed: 20, leaves: [tagsOfAnother] });
  const { pool, request, job } = at;
  const vm = pool.vm('web-1');
  const other = { jobId: randomUUID(), installation: 'another' };
  await asOperator(at, async (xapi) => {
    await noteOpening(xapi, vm.ref as Ref<'VM'>, { ...other, before: 'false', now: at.clock.now() });
    await tag(xapi, vm.ref as Ref<'VM'>, [], other);
  });
  const id = await request('web-1');
  await job(id, ({ phase }) => phase === 'RelockVm');
  await at.clock.sleep(3);
  expect(vm.liveXenstore()?.[LOCK]).toBeUndefined();
  await asOperator(at, (xapi) => untag(xapi, { ref: vm.ref as Ref<'VM'>, uuid: vm.uuid }, [], other.jobId));
  expect(await job(id)).toMatchObject({ status: 'succeeded', lockBefore: 'false' });
  expect(vm.liveXenstore()?.[LOCK]).toBe('false');
});

it('knows its snapshot by its label where somebody took the tag away before it was made', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const at = await scenario();
  const { pool, request, job } = at;
  const vm = pool.vm('web-1');
  pool.faults.add({ method: 'VM.snapshot', hold: promise, times: 1 });
  const id = await request('web-1');
  await job(id, ({ phase }) => phase === 'PollSnapshot');
  await asOperator(at, async (xapi) =>
    untag(xapi, { ref: vm.ref as Ref<'VM'>, uuid: vm.uuid }, await disksOf(xapi, vm.ref as Ref<'VM'>), id),
  );
  resolve();
  expect(await job(id)).toMatchObject({ status: 'succeeded' });
});

it('takes off the tags of the first version, for a job that began under it', async () => {
  const at = await scenario({
    service: {
      aroundStep: async (step, jobId, run) => {
        if (step === 'RelockVm')
          await asOperator(at, async (xapi) => {
            const vmRef = at.pool.vm('web-1').ref as Ref<'VM'>;
            await xapi.call('VM.add_to_other_config', vmRef, TAGS.job, jobId);
            await xapi.call('VM.add_to_other_config', vmRef, TAGS.installation, 'any');
          });
        return run();
      },
    },
  });
  expect(await at.job(await at.request('web-1'))).toMatchObject({ status: 'succeeded' });
});
