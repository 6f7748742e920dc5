import { expect, it } from 'vitest';
import { aPool, resultRef, until } from './a-pool.ts';

const LOCK = 'vm-data/allowvssprovider';

it('reaches a running guest only by setting all of its xenstore data', async () => {
  await using world = await aPool();
  const { pool, client } = world;
  const vm = pool.vm('web-1');
  await client.call('VM.remove_from_xenstore_data', vm.ref, LOCK);
  expect(vm.liveXenstore()).toEqual({ [LOCK]: 'false' });
  await client.call('VM.set_xenstore_data', vm.ref, { 'vm-data/color': 'red', elsewhere: 'x' });
  expect(vm.liveXenstore()).toEqual({ 'vm-data/color': 'red' });
  expect(vm.record().xenstore_data).toEqual({ 'vm-data/color': 'red', elsewhere: 'x' });
});

it('does not reach a paused guest, and has none of a halted one', async () => {
  await using world = await aPool();
  const vm = world.pool.vm('web-1');
  vm.setPowerState('Paused');
  await world.client.call('VM.set_xenstore_data', vm.ref, {});
  expect(vm.liveXenstore()).toEqual({ [LOCK]: 'false' });
  vm.setPowerState('Halted');
  expect(vm.liveXenstore()).toBeUndefined();
  await world.client.call('VM.start', vm.ref, false, false);
  expect(vm.liveXenstore()).toEqual({});
});

it('quiesces through the guest’s provider, which reads the live key', async () => {
  await using world = await aPool({ quiesce: true });
  const { pool, client } = world;
  const vm = pool.vm('web-1');
  const snapshot = () => client.fails('VM.snapshot_with_quiesce', vm.ref, 'still');
  expect((await snapshot()).slice(0, 2)).toEqual(['XEN_VSS_REQ_ERROR_NO_VOLUMES_SUPPORTED', vm.ref]);
  await client.call('VM.remove_from_xenstore_data', vm.ref, LOCK);
  expect((await snapshot())[0]).toBe('XEN_VSS_REQ_ERROR_NO_VOLUMES_SUPPORTED');
  await client.call('VM.set_xenstore_data', vm.ref, {});
  const template = resultRef(await client.task('VM.snapshot_with_quiesce', vm.ref, 'still'));
  expect(pool.record('VM', template)).toMatchObject({
    name_label: 'still',
    snapshot_info: { 'disk-snapshot-type': 'quiesced' },
    transportable_snapshot_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
  });
});

it('has the ways in which a quiesced snapshot fails', async () => {
  await using world = await aPool({ quiesce: true, vms: 0 });
  const { pool, client } = world;
  const vm = await pool.addVm({ name: 'win', locked: false, diskMib: 4 });
  const fails = () => client.fails('VM.snapshot_with_quiesce', vm.ref, 'x');
  vm.setVss('none');
  expect(await fails()).toEqual(['VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED', vm.ref]);
  vm.setVss('silent');
  expect(await fails()).toEqual(['VM_SNAPSHOT_WITH_QUIESCE_PLUGIN_DEOS_NOT_RESPOND', vm.ref]);
  vm.setVss('half');
  expect(await fails()).toEqual(['VM_SNAPSHOT_WITH_QUIESCE_FAILED', vm.ref, 'snapshot-error']);
  expect(vm.record().snapshots).toHaveLength(1);
  vm.setPowerState('Halted');
  expect(await fails()).toEqual(['VM_BAD_POWER_STATE', vm.ref, 'running', 'halted']);
});

it('knows no ignore_vdis on the old release', async () => {
  await using world = await aPool({ quiesce: true });
  expect(await world.client.fails('VM.snapshot', world.pool.vm('web-1').ref, 'x', [])).toEqual([
    'MESSAGE_PARAMETER_COUNT_MISMATCH',
    'VM.snapshot',
    '2',
    '3',
  ]);
});

it('shuts down when its guest comes to it, whatever has become of the call', async () => {
  await using world = await aPool({ guestShutdownSeconds: 600 });
  const { pool, client } = world;
  const vm = pool.vm('web-1');
  const asked = await client.call('Async.VM.clean_shutdown', vm.ref);
  await until(() => String(vm.record().allowed_operations) === 'hard_shutdown');
  expect(vm.record()).toMatchObject({
    power_state: 'Running',
    current_operations: { [String(asked)]: 'clean_shutdown' },
  });
  await client.call('task.cancel', asked);
  await until(() => pool.record('task', String(asked)).status === 'cancelled');
  expect(vm.record()).toMatchObject({ power_state: 'Running', current_operations: {} });
  await until(() => vm.record().power_state === 'Halted');

  const slow = await pool.addVm({ name: 'slow', diskMib: 2, shutdownSeconds: 5000 });
  expect(await client.fails('VM.clean_shutdown', slow.ref)).toEqual([
    'VM_SHUTDOWN_TIMEOUT',
    slow.ref,
    '1200.',
  ]);
  expect(slow.record().power_state).toBe('Running');
  await client.call('VM.hard_shutdown', slow.ref);
});
