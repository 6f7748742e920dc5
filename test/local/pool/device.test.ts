import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { SimulatedPool } from '../../../local/pool/pool.ts';
import { isWhole } from './a-disk.ts';
import { aPool, until } from './a-pool.ts';
import { vbdRecord, vdiRecord } from './a-vm-record.ts';
import type { TestClient } from './client.ts';

const MIB = 1024 ** 2;

const srOf = (pool: SimulatedPool, name: string) => {
  const sr = pool.srs.find((each) => each.name === name);
  if (!sr) throw new Error(`no SR ${name}`);
  return sr;
};

async function aPlugged(
  { pool, client }: { pool: SimulatedPool; client: TestClient },
  { sr = 'NFS shared storage', mib = 6, host = 0, sm_config = {}, vdi = '' },
) {
  const dom0Root = pool.hosts[host]?.dom0Root ?? '';
  const dom0 = await client.call('host.get_control_domain', pool.hosts[host]?.ref);
  const disk =
    vdi || (await client.call('VDI.create', vdiRecord(srOf(pool, sr).ref, mib * MIB, { sm_config })));
  const vbd = await client.call('VBD.create', vbdRecord(dom0, disk));
  await client.call('VBD.plug', vbd);
  const path = join(dom0Root, 'dev', String(await client.call('VBD.get_device', vbd)));
  return {
    vdi: String(disk),
    vbd: String(vbd),
    path,
    dom0Root,
    uuid: String(pool.record('VDI', String(disk)).uuid),
  };
}

async function writeAt(path: string, offset: number, data: Buffer) {
  await using file = await open(path, 'r+');
  await file.write(data, 0, data.length, offset);
}

async function exported({ pool, client }: { pool: SimulatedPool; client: TestClient }, uuid: unknown) {
  const query = `session_id=${client.session}&vdi=${uuid}&format=raw`;
  return Buffer.from(await (await fetch(`${pool.url}/export_raw_vdi?${query}`)).arrayBuffer());
}

it.each(['ext', 'qcow2', 'lvm', 'raw'])(
  'has on a disk of %s what was written to its device',
  async (kind) => {
    await using world = await aPool({ vms: 0, keepModels: true });
    const { pool, client } = world;
    if (kind === 'lvm' || kind === 'raw') await pool.addVm({ name: 'vm', diskMib: 2, sr: 'lvm' });
    const sr = kind === 'lvm' || kind === 'raw' ? 'lvm storage' : 'Local storage';
    const sm_config = { ext: {}, qcow2: { 'image-format': 'qcow2' }, lvm: {}, raw: { type: 'raw' } }[kind];
    const { vdi, vbd, path, uuid } = await aPlugged(world, { sr, mib: 8, ...(sm_config && { sm_config }) });
    expect((await stat(path)).size).toBe(8 * MIB);
    const expected = await readFile(path);
    expect(expected.equals(Buffer.alloc(8 * MIB))).toBe(kind !== 'raw');
    for (const at of [0, 2 * MIB - 512, 5 * MIB + 512, 8 * MIB - 512]) {
      const data = randomBytes(at === 5 * MIB + 512 ? 3072 : 512);
      data.copy(expected, at);
      await writeAt(path, at, data);
    }
    await client.call('VBD.unplug', vbd);
    expect(existsSync(path)).toBe(false);
    await client.call('VBD.destroy', vbd);
    expect((await exported(world, uuid)).equals(expected)).toBe(true);
    if (kind === 'ext') expect(await isWhole(pool, srOf(pool, sr).folder, uuid)).toBe(true);
    const again = await aPlugged(world, { vdi });
    expect((await readFile(again.path)).equals(expected)).toBe(true);
    await writeAt(again.path, 0, Buffer.alloc(512));
    await client.call('VBD.unplug', again.vbd);
    expect((await exported(world, uuid)).subarray(0, 512).equals(Buffer.alloc(512))).toBe(true);
  },
);

it('finds what was written to a disk of a terabyte without reading all of it', async () => {
  await using world = await aPool({ vms: 0 });
  const { vbd, path, uuid } = await aPlugged(world, { mib: 1024 ** 2 });
  const data = randomBytes(1024);
  await writeAt(path, 700_000 * MIB, data);
  await world.client.call('VBD.unplug', vbd);
  const again = await aPlugged(world, { vdi: (await world.client.call('VDI.get_by_uuid', uuid)) as string });
  await using file = await open(again.path, 'r');
  const { buffer } = await file.read(Buffer.alloc(1024), 0, 1024, 700_000 * MIB);
  expect(buffer.equals(data)).toBe(true);
});

it('keeps a device that a process has open, by force too, and lets it go afterwards', async () => {
  await using world = await aPool({ vms: 0 });
  const { client } = world;
  const { vbd, path } = await aPlugged(world, {});
  const file = await open(path, 'r');
  expect((await client.fails('VBD.unplug', vbd))[0]).toBe('SR_BACKEND_FAILURE_1200');
  expect((await client.fails('VBD.unplug_force', vbd))[0]).toBe('SR_BACKEND_FAILURE_1200');
  expect(await client.call('VBD.get_currently_attached', vbd)).toBe(true);
  // One that closes it within two minutes is waited for.
  const unplugged = client.call('VBD.unplug', vbd);
  await file.close();
  await unplugged;
  expect(await client.fails('VBD.unplug', vbd)).toEqual(['DEVICE_ALREADY_DETACHED', vbd]);
});

it('rejects a detach, refuses a plug, and loses the answer of either, where a fault says so', async () => {
  await using world = await aPool({ vms: 0 });
  const { pool, client } = world;
  pool.faults.add({
    method: 'VBD.unplug',
    times: 1,
    code: 'DEVICE_DETACH_REJECTED',
    params: ['VBD', 'x', ''],
  });
  pool.faults.add({ method: 'VBD.create', times: 1, drop: 'after' });
  const lost = aPlugged(world, {});
  await expect(lost).rejects.toThrow();
  expect((await pool.inventory()).dom0Vbds).toMatchObject([{ attached: false }]);
  const { vbd, uuid } = await aPlugged(world, {});
  expect((await client.fails('VBD.unplug', vbd))[0]).toBe('DEVICE_DETACH_REJECTED');
  expect((await pool.inventory()).dom0Vbds).toContainEqual(
    expect.objectContaining({ vdi: uuid, attached: true }),
  );
  await client.call('VBD.unplug', vbd);
});

it('snapshots a disk with what its device has got until then', async () => {
  await using world = await aPool({ vms: 0, keepModels: true });
  const { pool, client } = world;
  const { vdi, vbd, path } = await aPlugged(world, {});
  const [first, second] = [randomBytes(512), randomBytes(512)];
  await writeAt(path, 4096, first);
  const snapshot = await client.call('VDI.snapshot', vdi, {});
  await writeAt(path, 4096, second);
  await client.call('VBD.unplug', vbd);
  const sectorOf = async (ref: unknown) =>
    (await exported(world, await client.call('VDI.get_uuid', ref))).subarray(4096, 4096 + 512);
  expect((await sectorOf(snapshot)).equals(first)).toBe(true);
  expect((await sectorOf(vdi)).equals(second)).toBe(true);
  expect(pool.record('VDI', String(snapshot)).is_a_snapshot).toBe(true);
});

it('leaves a disk attached to a host that has died, with what was written to it, until that is back', async () => {
  await using world = await aPool({ vms: 0, hosts: 2 });
  const { pool, client } = world;
  const { vdi, vbd, path, uuid } = await aPlugged(world, { host: 1 });
  const data = randomBytes(512);
  await writeAt(path, 0, data);
  const member = pool.hosts[1];
  await pool.setHost(member?.uuid ?? '', { live: false });
  expect(existsSync(path)).toBe(false);
  expect(await client.fails('VBD.unplug', vbd)).toEqual(['HOST_OFFLINE', member?.ref]);
  expect(await client.fails('VDI.destroy', vdi)).toEqual(['VDI_IN_USE', vdi, 'destroy']);
  expect(await client.call('VDI.get_sm_config', vdi)).toEqual({ [`host_${member?.ref}`]: 'RW' });
  await pool.setHost(member?.uuid ?? '', { live: true });
  expect(await client.call('VDI.get_sm_config', vdi)).toEqual({});
  expect((await exported(world, uuid)).subarray(0, 512).equals(data)).toBe(true);
  const again = await aPlugged(world, { vdi, host: 1 });
  await pool.ejectHost(member?.uuid ?? '');
  expect(await client.fails('VBD.get_record', again.vbd)).toEqual(['HANDLE_INVALID', 'VBD', again.vbd]);
  await client.call('VDI.destroy', vdi);
});

const WRITER = `#!/usr/bin/env python3
import os, sys, xmlrpc.client
path = xmlrpc.client.loads(sys.argv[1])[0][1]['path']
fd = os.open(path, os.O_RDWR)
done = 0
try:
    while done < 6 << 20:
        done += os.write(fd, b'x' * (1 << 20))
    end = 'all'
except OSError as exc:
    end = '%d after %d' % (exc.errno, done >> 20)
os.close(fd)
sys.stdout.write(xmlrpc.client.dumps(({'Status': 'Success', 'Value': end},), '', True))
`;

it('gives a plugin EIO when a thin SR is full in the middle, and takes what was written from its room', async () => {
  await using world = await aPool({ vms: 0 });
  const { pool, client, dataDir } = world;
  await mkdir(dataDir, { recursive: true });
  const plugin = join(dataDir, 'writer.py');
  await writeFile(plugin, WRITER);
  await pool.installPlugin(pool.hosts[0]?.uuid ?? '', plugin);
  const { vbd, path, vdi } = await aPlugged(world, {});
  const write = () => client.call('host.call_plugin', pool.hosts[0]?.ref, 'glance', 'run', { path });
  const sr = srOf(pool, 'NFS shared storage');
  await pool.fillSr(sr.uuid, 4 * MIB);
  expect(await write()).toBe('5 after 4');
  await pool.fillSr(sr.uuid, 3 * MIB);
  expect(await write()).toBe('all');
  await client.call('VBD.unplug', vbd);
  await client.call('SR.scan', sr.ref);
  const { physical_size, physical_utilisation } = pool.record('SR', sr.ref);
  expect(Number(physical_size) - Number(physical_utilisation)).toBeLessThan(3 * MIB);
  await client.call('VDI.destroy', vdi);
  await until(() => Number(pool.record('SR', sr.ref).physical_utilisation) < Number(physical_utilisation));
});

it('names its control domain in the inventory of each host', async () => {
  await using world = await aPool({ vms: 0, hosts: 2 });
  for (const { ref, dom0Root } of world.pool.hosts) {
    const dom0 = world.pool.record('host', ref).control_domain;
    const inventory = await readFile(join(dom0Root, 'etc/xensource-inventory'), 'utf8');
    expect(inventory).toContain(`CONTROL_DOMAIN_UUID='${world.pool.record('VM', String(dom0)).uuid}'\n`);
  }
});
