import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { aPool, until } from './a-pool.ts';
import { logIn, request } from './client.ts';

/** Works until the file `go` is there, and says so. */
const PLUGIN = `#!/bin/sh
while [ ! -e "$XENSNAP_DOM0_ROOT/tmp/go" ]; do sleep 0.05; done
: > "$XENSNAP_DOM0_ROOT/tmp/done"
echo '<methodResponse><params><param><value><struct><member><name>Status</name><value>Success</value></member><member><name>Value</name><value>done</value></member></struct></value></param></params></methodResponse>'
`;

let folder: string;
let pluginFile: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plugin-'));
  pluginFile = join(folder, 'plugin');
  await writeFile(pluginFile, PLUGIN);
});

afterAll(() => rm(folder, { recursive: true }));

async function aPoolAtWork() {
  const world = await aPool({ vms: 0, hosts: 2, pluginFile });
  const [, member] = world.pool.hosts;
  if (!member) throw new Error('one host only');
  const task = await world.client.call('Async.host.call_plugin', member.ref, 'glance', 'work', {});
  await until(async () => (await world.pool.inventory()).plugins === 1);
  const statusOf = () => world.client.call('task.get_status', task);
  return { world, ...world, member, task, statusOf };
}

it('loses the plugin at work and every connection with a host that dies, and finds its VMs halted when it is back', async () => {
  const { world, pool, client, member, task, statusOf } = await aPoolAtWork();
  await using _ = world;
  const vm = await pool.addVm({ name: 'on it', host: member.uuid, diskMib: 2 });
  await pool.setHost(member.uuid, { live: false });
  expect((await pool.inventory()).plugins).toBe(0);
  await until(async () => (await statusOf()) === 'failure');
  expect(await client.call('task.get_error_info', task)).toEqual(['CANNOT_CONTACT_HOST', member.ref]);
  expect(await client.fails('host.call_plugin', member.ref, 'glance', 'work', {})).toEqual([
    'HOST_OFFLINE',
    member.ref,
  ]);
  const metrics = await client.call('host.get_metrics', member.ref);
  expect(await client.call('host_metrics.get_live', metrics)).toBe(false);
  await expect(request(member.url, 'VM.get_all', client.session)).rejects.toThrow('ECONNREFUSED');
  expect([vm.record().power_state, vm.liveXenstore()]).toEqual(['Running', undefined]);
  await pool.setHost(member.uuid, { live: true });
  expect(vm.record()).toMatchObject({ power_state: 'Halted', resident_on: 'OpaqueRef:NULL' });
  expect((await request(member.url, 'VM.get_all', client.session)).ErrorDescription?.[0]).toBe(
    'HOST_IS_SLAVE',
  );
  expect(await client.call('host_metrics.get_live', metrics)).toBe(true);
});

it('answers nothing for a host that hangs, counts it as dead after ten minutes, and goes on where it stood', async () => {
  const { world, pool, client, member, statusOf } = await aPoolAtWork();
  await using _ = world;
  await pool.setHost(member.uuid, { hangs: true });
  await writeFile(join(member.dom0Root, 'tmp/go'), '');
  const later = client.call('host.call_plugin', member.ref, 'glance', 'work', {});
  const direct = request(member.url, 'VM.get_all', client.session);
  const metrics = await client.call('host.get_metrics', member.ref);
  await until(async () => (await client.call('host_metrics.get_live', metrics)) === false);
  expect((await client.fails('host.get_servertime', member.ref))[0]).toBe('HOST_OFFLINE');
  expect([await statusOf(), (await pool.inventory()).plugins]).toEqual(['pending', 1]);
  await pool.setHost(member.uuid, { hangs: false });
  await until(async () => (await statusOf()) === 'success');
  expect([await later, (await direct).ErrorDescription?.[0]]).toEqual(['done', 'HOST_IS_SLAVE']);
  expect(await client.call('host_metrics.get_live', metrics)).toBe(true);
});

it('knows nothing any more of a host that was ejected', async () => {
  const { world, pool, client, member } = await aPoolAtWork();
  await using _ = world;
  const local = pool.srs.find(({ ref }) => {
    const [pbd] = pool.record('SR', ref).PBDs as string[];
    return pool.record('PBD', pbd ?? '').host === member.ref;
  });
  const vm = await pool.addVm({ name: 'on it', host: member.uuid, diskMib: 2 });
  await pool.ejectHost(member.uuid);
  expect(pool.hosts.map(({ name }) => name)).toEqual(['xen1']);
  expect(await client.fails('host.get_by_uuid', member.uuid)).toEqual(['UUID_INVALID', 'host', member.uuid]);
  expect(await client.fails('host.get_record', member.ref)).toEqual(['HANDLE_INVALID', 'host', member.ref]);
  expect(await client.fails('host.call_plugin', member.ref, 'glance', 'work', {})).toEqual([
    'HANDLE_INVALID',
    'host',
    member.ref,
  ]);
  expect(await client.fails('SR.scan', local?.ref)).toEqual(['SR_HAS_NO_PBDS', local?.ref]);
  expect(vm.record().power_state).toBe('Halted');
  await expect(pool.ejectHost(pool.hosts[0]?.uuid ?? '')).rejects.toThrow('master');
});

it('asks for a disk’s work where the SR is attached: not at a host that is away', async () => {
  await using world = await aPool({ vms: 0, hosts: 2 });
  const { pool, client } = world;
  const [, member] = pool.hosts;
  const local = await pool.addVm({ name: 'local', host: member?.uuid ?? '', diskMib: 2 });
  const shared = await pool.addVm({ name: 'shared', host: member?.uuid ?? '', diskMib: 2, sr: 'nfs' });
  await pool.setHost(member?.uuid ?? '', { live: false });
  expect(await client.fails('VM.snapshot', local.ref, 'x')).toEqual(['NO_HOSTS_AVAILABLE']);
  expect(await client.fails('VDI.destroy', local.rootVdi?.ref)).toEqual(['HOST_OFFLINE', member?.ref]);
  expect(await client.call('VM.snapshot', shared.ref, 'x')).toMatch(/^OpaqueRef:/);
  expect(await client.fails('VM.pause', shared.ref)).toEqual(['HOST_OFFLINE', member?.ref]);
});

it('has another master when one fails over, without sessions and tasks, and without the last writes', async () => {
  await using world = await aPool({ hosts: 2 });
  const { pool, client } = world;
  const [old, member] = pool.hosts;
  const vm = pool.vm('web-1').ref;
  const task = await client.call('task.create', 'mine', '');
  await client.call('VM.add_to_other_config', vm, 'early', 'kept');
  const database = pool.backUpDatabase();
  await client.call('VM.add_to_other_config', vm, 'late', 'lost');
  const snapshot = await client.call('VM.snapshot', vm, 'lost');
  await pool.failOver(member?.uuid ?? '', { oldMaster: 'dead', database });
  expect(pool.url).toBe(member?.url);
  await expect(request(old?.url ?? '', 'VM.get_all', client.session)).rejects.toThrow('ECONNREFUSED');
  expect((await request(pool.url, 'VM.get_all', client.session)).ErrorDescription?.[0]).toBe(
    'SESSION_INVALID',
  );
  const again = await logIn(pool.url, pool.username, pool.password);
  const config = await again.call('VM.get_other_config', vm);
  expect(config).toMatchObject({ early: 'kept' });
  expect(config).not.toHaveProperty('late');
  expect(await again.fails('VM.get_record', snapshot)).toEqual(['HANDLE_INVALID', 'VM', snapshot]);
  expect(await again.fails('task.get_record', task)).toEqual(['HANDLE_INVALID', 'task', task]);
  const [record] = Object.values((await again.call('pool.get_all_records')) as Record<string, object>);
  expect(record).toMatchObject({ master: member?.ref });
  await pool.setHost(old?.uuid ?? '', { live: true });
  expect((await request(old?.url ?? '', 'VM.get_all', again.session)).ErrorDescription).toEqual([
    'HOST_IS_SLAVE',
    pool.url.replace('http://', ''),
  ]);
});

it('goes on with its old master as a member, and loses no write that was not to be lost', async () => {
  await using world = await aPool({ hosts: 2 });
  const { pool, client } = world;
  const [old, member] = pool.hosts;
  const snapshot = await client.call('VM.snapshot', pool.vm('web-1').ref, 'kept');
  await pool.failOver(member?.uuid ?? '', { oldMaster: 'member' });
  const login = await request(old?.url ?? '', 'session.login_with_password', pool.username, pool.password);
  expect(login.ErrorDescription).toEqual(['HOST_IS_SLAVE', pool.url.replace('http://', '')]);
  const again = await logIn(pool.url, pool.username, pool.password);
  expect(await again.call('VM.get_name_label', snapshot)).toBe('kept');
});
