import { expect, it } from 'vitest';
import { localClock } from '../../../local/clock.ts';
import { aPool, resultRef, until } from './a-pool.ts';
import { logIn } from './client.ts';

it('shows an asynchronous call as a task: pending, then its result as XML', async () => {
  await using world = await aPool();
  const { pool, client } = world;
  let release = (): void => undefined;
  const hold = new Promise<void>((resolve) => {
    release = resolve;
  });
  pool.faults.add({ method: 'VM.snapshot', hold });
  const vm = pool.vm('web-1').ref;
  const task = await client.call('Async.VM.snapshot', vm, 'held');
  expect(await client.call('task.get_record', task)).toMatchObject({
    name_label: 'Async.VM.snapshot',
    status: 'pending',
    result: '',
    finished: new Date(0),
    progress: 0,
    type: '<none/>',
  });
  release();
  await until(async () => (await client.call('task.get_status', task)) === 'success');
  const record = (await client.call('task.get_record', task)) as Record<string, unknown>;
  expect(record).toMatchObject({ progress: 1, error_info: [], allowed_operations: [] });
  expect(await client.call('VM.get_name_label', resultRef(record))).toBe('held');
});

it('keeps the error of a failed task, and never changes a finished one', async () => {
  await using world = await aPool();
  const task = await world.client.task('VM.snapshot', 'OpaqueRef:NULL', 'x');
  expect(task).toMatchObject({
    status: 'failure',
    result: '',
    error_info: ['HANDLE_INVALID', 'VM', 'OpaqueRef:NULL'],
  });
  await world.client.call('task.cancel', task.ref);
  expect(await world.client.call('task.get_status', task.ref)).toBe('failure');
});

it('answers void as an empty value', async () => {
  await using world = await aPool();
  const [sr] = world.pool.srs;
  expect(await world.client.task('SR.scan', sr?.ref)).toMatchObject({
    status: 'success',
    result: '<value></value>',
  });
});

it('lets a destroyed task live until it is complete', async () => {
  await using world = await aPool();
  const { pool, client } = world;
  let release = (): void => undefined;
  pool.faults.add({
    method: 'VM.snapshot',
    hold: new Promise<void>((resolve) => {
      release = resolve;
    }),
  });
  const task = await client.call('Async.VM.snapshot', pool.vm('web-1').ref, 'x');
  await client.call('task.destroy', task);
  expect(await client.call('task.get_current_operations', task)).toEqual({ task: 'destroy' });
  release();
  await until(
    async () => (await client.fails('task.get_status', task)).join() === `HANDLE_INVALID,task,${task}`,
  );
});

it('cancels where the operation looks: between two disks', async () => {
  await using world = await aPool({ vms: 0 });
  const { pool, client } = world;
  const vm = await pool.addVm({ name: 'two', diskMib: 4, extraDisks: [4] });
  const before = await pool.inventory();
  let release = (): void => undefined;
  pool.faults.add({
    method: 'VDI.snapshot',
    times: 1,
    hold: new Promise<void>((resolve) => {
      release = resolve;
    }),
  });
  const task = await client.call('Async.VM.snapshot', vm.ref, 'x');
  await until(async () =>
    ((await client.call('task.get_allowed_operations', task)) as string[]).includes('cancel'),
  );
  await client.call('task.cancel', task);
  release();
  await until(async () => (await client.call('task.get_status', task)) === 'cancelled');
  await client.call('task.destroy', task);
  expect(await pool.inventory()).toEqual(before);
});

it('forgets finished tasks after 65 minutes', async () => {
  await using world = await aPool({ clock: localClock(100_000) });
  const task = await world.client.call('task.create', 'mine', 'of a test');
  await world.client.call('task.set_status', task, 'success');
  await until(async () => (await world.client.fails('task.get_status', task)).length > 0);
});

it('keeps no more than 200 tasks, and drops the oldest that are complete', async () => {
  await using world = await aPool();
  const { pool, client } = world;
  const pending = await client.call('task.create', 'pending', '');
  for (let count = 0; count < 210; count += 1) {
    await client.call(
      'task.set_status',
      await client.call('task.create', `complete ${count}`, ''),
      'success',
    );
  }
  await until(() => Object.keys(pool.records('task')).length <= 200);
  expect(Object.keys(pool.records('task'))).toContain(pending);
});

it('drops all tasks and all sessions when the master’s xapi restarts', async () => {
  await using world = await aPool();
  const { pool, client } = world;
  pool.faults.add({ method: 'VM.snapshot', hold: new Promise(() => undefined) });
  const finished = await client.task('SR.scan', pool.srs[0]?.ref);
  const pending = await client.call('Async.VM.snapshot', pool.vm('web-1').ref, 'x');
  await pool.restartXapi();
  expect(await client.fails('task.get_status', pending)).toEqual(['SESSION_INVALID', client.session]);
  const again = await logIn(pool.url, pool.username, pool.password);
  for (const task of [pending, finished.ref])
    expect(await again.fails('task.get_status', task)).toEqual(['HANDLE_INVALID', 'task', task]);
  expect(await again.call('VM.get_current_operations', pool.vm('web-1').ref)).toEqual({});
});

it('drops a member’s incomplete tasks alone when its xapi restarts', async () => {
  await using world = await aPool({ vms: 0, hosts: 2 });
  const { pool, client } = world;
  const [, member] = pool.hosts;
  pool.faults.add({ method: 'VM.snapshot', hold: new Promise(() => undefined) });
  const vm = await pool.addVm({ name: 'vm', diskMib: 2 });
  const ofMaster = await client.call('Async.VM.snapshot', vm.ref, 'x');
  const finished = await client.task('SR.scan', pool.srs[0]?.ref);
  await pool.setHost(member?.uuid ?? '', { hangs: true });
  const ofMember = await client.call('Async.host.call_plugin', member?.ref, 'glance', 'x', {});
  await until(() => pool.record('task', String(ofMember)).resident_on === member?.ref);
  await pool.restartXapi(member?.uuid);
  expect(await client.fails('task.get_status', ofMember)).toEqual(['HANDLE_INVALID', 'task', ofMember]);
  expect(await client.call('task.get_status', ofMaster)).toBe('pending');
  expect(await client.call('task.get_status', finished.ref)).toBe('success');
});

it('cannot cancel at a host that is away what was passed on to it', async () => {
  await using world = await aPool({ vms: 0, hosts: 2 });
  const { pool, client } = world;
  const [, member] = pool.hosts;
  await pool.setHost(member?.uuid ?? '', { hangs: true });
  const task = await client.call('Async.host.call_plugin', member?.ref, 'glance', 'x', {});
  await until(() => pool.record('task', String(task)).resident_on === member?.ref);
  const metrics = String(await client.call('host.get_metrics', member?.ref));
  await until(() => pool.record('host_metrics', metrics).live === false);
  expect(await client.fails('task.cancel', task)).toEqual(['HOST_OFFLINE', member?.ref]);
});

it('lets whoever may write a task undo its end, and cancels by a task that is none', async () => {
  await using world = await aPool();
  const { client } = world;
  const task = await client.call('task.create', 'mine', '');
  await client.call('task.set_status', task, 'success');
  await client.call('task.set_status', task, 'pending');
  expect(await client.call('task.get_status', task)).toBe('pending');
  expect(await client.fails('task.set_status', task, 'over')).toEqual([
    'INTERNAL_ERROR',
    'Failure("Unknown tag/contents")',
  ]);
  const cancelling = await client.call('Async.task.cancel', task);
  expect(cancelling).toMatch(/^DummyRef:\|[0-9a-f-]{36}\|Async\.task\.cancel$/);
  await until(
    async () =>
      Object.keys((await client.call('task.get_current_operations', task)) as object)[0] === cancelling,
  );
  expect(await client.fails('task.get_status', cancelling)).toEqual(['HANDLE_INVALID', 'task', cancelling]);
});

it.each([
  ['24.16', (vm: string) => ['VM.snapshot', vm]],
  ['today', (vm: string, task: string) => ['VM', vm, 'snapshot', task]],
] as const)(
  'waits for another operation on the VM to end, and names it as release %s does',
  async (release, named) => {
    await using world = await aPool({ release });
    const { pool, client } = world;
    const vm = pool.vm('web-1').ref;
    const { promise: hold, resolve: letGo } = Promise.withResolvers<void>();
    pool.faults.add({ method: 'VDI.snapshot', times: 1, hold });
    const first = String(await client.call('Async.VM.snapshot', vm, 'x'));
    await until(() => Object.keys(pool.record('VM', vm).current_operations as object).length === 1);
    expect(await client.fails('VM.assert_operation_valid', vm, 'pause')).toEqual([
      'OTHER_OPERATION_IN_PROGRESS',
      ...named(vm, first),
    ]);
    const second = String(await client.call('Async.VM.pause', vm));
    await until(() => (pool.record('task', second).allowed_operations as string[]).includes('cancel'));
    expect(pool.record('task', second).status).toBe('pending');
    letGo();
    await until(() => pool.record('task', second).status === 'success');
    expect(pool.record('VM', vm).power_state).toBe('Paused');
  },
);
