import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import type { Call } from './wire/call.ts';
import type { Fault, Target } from './wire/faults.ts';
import { startWorld, type World } from './world.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

let world: World;
let vm = '';

beforeAll(async () => {
  world = await startWorld();
  vm = world.pool.vms()[0]?.uuid ?? '';
});
afterAll(() => world.close());
beforeEach(() => {
  world.wire.decide = () => undefined;
  world.wire.forget();
});

/** Runs a job of which the first call that fits meets the fault; answers it and the calls of the same kind. */
async function withFault(fits: Partial<Call>, fault: Fault) {
  let struck: Call | undefined;
  const isOne = (call: Call) =>
    Object.entries(fits).every(([key, value]) => call[key as keyof Call] === value);
  world.wire.decide = (call) => {
    if (struck || !isOne(call)) return undefined;
    struck = call;
    return fault;
  };
  const done = await world.job(await world.request(vm));
  return { done, struck, alike: world.wire.calls.filter(isOne) };
}

it('sees who makes each call, of which job, to whom', async () => {
  const id = await world.request(vm);
  await world.job(id);
  const { calls } = world.wire;
  const to = (target: Target) =>
    new Set(calls.filter((call) => call.to === target).map(({ state }) => state));
  expect([...to('xapi')]).toEqual(expect.arrayContaining(['request', 'InspectVm', 'PollUpload', 'RelockVm']));
  expect([...to('dynamodb')]).toEqual(
    expect.arrayContaining(['request', 'TakeVm', 'ReleaseHost', 'admission']),
  );
  expect(to('keystone')).toEqual(new Set(['request', 'StartUpload', 'VerifyImage']));
  expect(to('sqs')).toContain('QueueForHost');
  expect(to('glance')).toEqual(new Set(['request', 'plugin', 'StartUpload', 'VerifyImage']));
  for (const { state, job, to, name } of calls)
    if (!['request', 'admission', 'QueueForHost'].includes(state))
      expect([to, name, job]).toEqual([to, name, id]);
  expect(calls.filter(({ state }) => state === 'nobody')).toEqual([]);
});

it.each<[string, Partial<Call>, Fault]>([
  [
    'an error of xapi',
    { to: 'xapi', name: 'VDI.destroy' },
    { kind: 'error', code: 'INTERNAL_ERROR', params: ['x'] },
  ],
  ['an answer of xapi that is none', { to: 'xapi', name: 'VM.get_xenstore_data' }, { kind: 'garbage' }],
  ['a reply of xapi that is lost', { to: 'xapi', name: 'Async.VM.snapshot' }, { kind: 'lost-reply' }],
  ['a reply of xapi that is cut', { to: 'xapi', name: 'VM.destroy' }, { kind: 'truncated' }],
  ['a reply of xapi that is late', { to: 'xapi', name: 'secret.create' }, { kind: 'late', seconds: 4 }],
  ['a call to xapi that is not answered', { to: 'xapi', name: 'task.destroy' }, { kind: 'never' }],
  ['a 503 of Glance', { to: 'glance', name: 'PATCH image' }, { kind: 'status', status: 503 }],
  [
    'a 503 of Glance for the plugin',
    { to: 'glance', name: 'PUT image/file' },
    { kind: 'status', status: 503 },
  ],
  ['a reply of Keystone that is lost', { to: 'keystone', state: 'VerifyImage' }, { kind: 'lost-reply' }],
])('%s happens, and is lived through', async (_, fits, fault) => {
  const { done, struck } = await withFault(fits, fault);
  expect(struck).toMatchObject(fits);
  expect(done).toMatchObject({ status: 'succeeded' });
});

it.each<[Fault]>([
  [{ kind: 'error', code: 'ProvisionedThroughputExceededException', status: 400 }],
  [{ kind: 'reset' }],
  [{ kind: 'lost-reply' }],
  [{ kind: 'truncated' }],
])('a failure of the table, $kind, is tried again by the SDK as the same call', async (fault) => {
  const { done, alike } = await withFault({ to: 'dynamodb', state: 'UnlockVm', nth: 1 }, fault);
  expect(done).toMatchObject({ status: 'succeeded' });
  expect(alike.length).toBeGreaterThan(0);
});

it('lets nothing of a service in or out any more that was killed', async () => {
  const id = await world.request(vm);
  await world.job(id, ({ debts }) => debts?.has('snapshot') ?? false);
  await world.kill();
  expect(await world.job(id)).toMatchObject({ status: 'failed', error: { name: 'Interrupted' } });
  expect(await world.job(await world.request(vm))).toMatchObject({ status: 'succeeded' });
});
