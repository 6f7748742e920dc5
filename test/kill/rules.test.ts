import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { SnapshotJob } from '../../functions/job.ts';
import { hostGroup, slotsOfHost } from '../../functions/store/counters.ts';
import { createPoolClient } from '../../xapi/client.ts';
import type { Session } from '../../xapi/session.ts';
import { aJob } from '../functions/api/a-job.ts';
import { unexpected } from './run/expected.ts';
import { imagesWrong, leftOf, outcomeWrong } from './run/rules.ts';
import { startWorld, type World } from './world.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const NOTHING = { sessions: false, startTask: false };
let world: World;

beforeEach(async () => {
  world = await startWorld({ pool: { vms: 1, hosts: 1 } });
});
afterEach(() => world.close());

/** Does something in the pool as somebody else would. */
async function inPool<T>(work: (xapi: Session) => Promise<T>): Promise<T> {
  const { url, username, password } = world.pool;
  const client = createPoolClient({ addresses: [url] });
  try {
    return await client.withSession({ username, password }, work);
  } finally {
    await client.close();
  }
}

/** Whatever the types of our own methods do not know. */
const any = (xapi: Session) =>
  xapi as unknown as { call(method: string, ...args: unknown[]): Promise<string> };

it('finds what is left of each kind', async () => {
  const { pool, service, clock } = world;
  const { store } = service.runtime;
  const { uuid } = pool.vm('web-1');
  const before = await world.lookAround();
  const planted: [string, () => Promise<unknown>][] = [
    [
      'pool: vms',
      () =>
        inPool(async (xapi) =>
          any(xapi).call('VM.snapshot', await xapi.call('VM.get_by_uuid', uuid), 'left'),
        ),
    ],
    [
      'pool: locks',
      () =>
        inPool(async (xapi) =>
          xapi.call('VM.set_xenstore_data', await xapi.call('VM.get_by_uuid', uuid), {
            'vm-data/allowvssprovider': 'true',
          }),
        ),
    ],
    ['pool: secrets', () => inPool((xapi) => xapi.call('secret.create', { value: 'x', other_config: {} }))],
    ['pool: tasks', () => inPool((xapi) => any(xapi).call('task.create', 'left', ''))],
    [
      'pool: files',
      () =>
        writeFile(join(pool.srs.find(({ name }) => name === 'Local storage')?.folder ?? '', 'left.vhd'), 'x'),
    ],
    ['leases', () => store.leases.takeVm('demo', uuid, 'left', clock.now())],
    [
      'slots',
      () => store.counters.take(slotsOfHost(hostGroup('demo', pool.hosts[0]?.uuid ?? '')), 'left', 2),
    ],
    ['open jobs', () => store.jobs.create(aJob({ pool: 'demo', vmUuid: uuid }))],
  ];
  let earlier: string[] = [];
  for (const [name, plant] of planted) {
    await plant();
    const left = leftOf(before, await world.lookAround(), NOTHING);
    expect(left.filter((line) => !earlier.includes(line)).join('\n'), name).toContain(name);
    earlier = left;
  }
  expect(earlier.join('\n')).toMatch(/pool: vdis/);
});

it('finds a session that is left, but not where one may be', async () => {
  const before = await world.lookAround();
  const { url, username, password } = world.pool;
  const call = (method: string, ...params: string[]) =>
    fetch(url, {
      method: 'POST',
      body:
        `<methodCall><methodName>${method}</methodName><params>` +
        `${params.map((each) => `<param><value>${each}</value></param>`).join('')}</params></methodCall>`,
    });
  await call('session.login_with_password', username, password, '1.0', 'left');
  const after = await world.lookAround();
  expect(leftOf(before, after, NOTHING).join()).toContain('pool: sessions');
  expect(leftOf(before, after, { sessions: true, startTask: false })).toEqual([]);
});

it('finds a message that nobody takes', async () => {
  const before = await world.lookAround();
  expect(leftOf(before, { ...before, queue: before.queue + 1 }, NOTHING)).toEqual([
    'messages in the queue: was 0, is 1',
  ]);
});

it('wants one image of a job that succeeded, active and verified, and none of another', async () => {
  const job = await world.job(await world.request('web-1'));
  expect(imagesWrong(world, job, [])).toEqual([]);
  expect(imagesWrong(world, { ...job, status: 'failed' }, []).join()).toContain('of a job that failed');
  expect(imagesWrong(world, undefined, []).join()).toContain('that no answer told of');
  expect(imagesWrong(world, { ...job, id: 'other' }, world.glance.images()).join()).toContain(
    'its image is not there',
  );
  const { glance, imageToken } = world;
  await fetch(`${glance.url}/v2/images/${job.id}`, {
    method: 'PATCH',
    headers: {
      'x-auth-token': imageToken,
      'content-type': 'application/openstack-images-v2.1-json-patch',
    },
    body: JSON.stringify([{ op: 'replace', path: '/xensnap_verified', value: 'false' }]),
  });
  expect(imagesWrong(world, job, []).join()).toContain('verified: false');
});

it('wants one outcome with a cause that is documented and true', async () => {
  const job = await world.job(await world.request('web-1'));
  expect(outcomeWrong(world, job)).toEqual([]);
  const failed = (name: string): SnapshotJob => ({
    ...job,
    status: 'failed',
    error: { name, message: 'planted' },
  });
  expect(outcomeWrong(world, failed('TimeoutError')).join()).toContain('nobody documented TimeoutError');
  expect(outcomeWrong(world, { ...job, status: 'failed' }).join()).toContain('without a cause');
  world.logs.push(...world.logs);
  expect(outcomeWrong(world, job).join()).toContain('told 2 times');
  const cell = {
    id: '',
    run: 'plain',
    state: 'DestroySnapshot',
    to: 'xapi',
    name: 'VDI.destroy',
    nth: 1,
  } as const;
  const judge = (fault: string, of: SnapshotJob) =>
    unexpected({ ...cell, fault }, { job: of, transfers: 1, answer: { status: 202, body: {} } });
  expect(judge('INTERNAL_ERROR', job)).toEqual([]);
  expect(judge('INTERNAL_ERROR', failed('XapiFailure'))).toHaveLength(1);
  expect(judge('INTERNAL_ERROR', { ...job, uploadAttempts: 2 })).toEqual(['its data was sent 2 times']);
  expect(judge('RBAC_PERMISSION_DENIED', failed('Internal'))).toHaveLength(1);
  expect(judge('RBAC_PERMISSION_DENIED', failed('XapiFailure'))).toHaveLength(1);
});
