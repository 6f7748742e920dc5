import { readdir, readFile, writeFile } from 'node:fs/promises';
import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { SimulatedPool, VmSpec } from '../../../local/pool/pool.ts';
import { readChain } from '../../support/vhd-reader.ts';
import { aPool } from './a-pool.ts';
import type { TestClient } from './client.ts';

/** A snapshot of the VM's root disk. */
async function snapshotOf(pool: SimulatedPool, client: TestClient, name: string) {
  const template = String(await client.call('VM.snapshot', pool.vm(name).ref, 'snapshot'));
  const disk = (pool.record('VM', template).VBDs as string[])
    .map((vbd) => pool.record('VBD', vbd))
    .find(({ type }) => type === 'Disk');
  const vdi = String(disk?.VDI);
  return { vdi, uuid: String(pool.record('VDI', vdi).uuid), template };
}

interface Exported {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
  /** False when the connection broke. */
  readonly whole: boolean;
}

function ask(
  where: { url: string } | { socketPath: string },
  query: Record<string, string>,
): Promise<Exported> {
  const path = `/export_raw_vdi?${new URLSearchParams(query)}`;
  const { hostname, port } = new URL('url' in where ? where.url : 'http://localhost');
  const options = { path, agent: false, ...('url' in where ? { hostname, port } : where) };
  return new Promise((resolve, reject) => {
    get(options, (response) => {
      const parts: Buffer[] = [];
      const done = (whole: boolean) => () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(parts),
          whole,
        });
      response.on('data', (part) => parts.push(part));
      response.on('end', done(true)).on('error', done(false));
    }).on('error', reject);
  });
}

const small: VmSpec = { name: 'vm', diskMib: 9, dataMib: 2, baseCopies: 3 };

it.each<[string, VmSpec]>([
  ['an lvm SR', { ...small, sr: 'lvm' }],
  ['an lvmoiscsi SR', { ...small, sr: 'lvmoiscsi' }],
  ['an lvmohba SR', { ...small, sr: 'lvmohba' }],
  ['a QCOW2 disk', { ...small, rootFormat: 'qcow2' }],
  ['a VHD on an ext SR', small],
])('flattens the chain of %s, as a VHD and raw, while the guest writes on', async (_, vm) => {
  await using world = await aPool({ vms: 0, keepModels: true, guestWrites: true });
  const { pool, client, dataDir } = world;
  await pool.addVm(vm);
  const { uuid } = await snapshotOf(pool, client, 'vm');
  const session_id = client.session;
  const vhd = await ask({ url: pool.url }, { session_id, vdi: uuid, format: 'vhd' });
  expect(vhd).toMatchObject({ status: 200, whole: true, headers: { 'content-type': 'application/vhd' } });
  expect(vhd.headers).not.toHaveProperty('content-length');
  expect(vhd.headers).not.toHaveProperty('transfer-encoding');
  const file = join(dataDir, 'flat.vhd');
  await writeFile(file, vhd.body);
  const chain = await readChain([file]);
  expect(chain.layers[0]?.virtualBytes).toBe(9 * 1024 ** 2);
  expect(await chain.compareWith(pool.modelPath(uuid))).toBeNull();
  const raw = await ask({ url: pool.url }, { session_id, vdi: uuid, format: 'raw' });
  expect(raw.body.equals(await readFile(pool.modelPath(uuid)))).toBe(true);
  expect((await pool.inventory()).attached).toEqual([]);
});

it('shows the files of an SR of files to its hosts, and of no other', async () => {
  await using world = await aPool({ vms: 0 });
  const { pool } = world;
  const mounts = async () => {
    const folder = join(pool.hosts[0]?.dom0Root ?? '', 'var/run/sr-mount');
    return (await Promise.all((await readdir(folder)).map((sr) => readdir(join(folder, sr))))).flat();
  };
  for (const sr of ['lvm', 'lvmoiscsi', 'lvmohba'] as const) await pool.addVm({ ...small, name: sr, sr });
  expect(await mounts()).toEqual([]);
  await pool.addVm({ ...small, name: 'q', sr: 'smb', baseCopies: 1, rootFormat: 'qcow2' });
  const vdi = pool.vm('q').rootVdi;
  const parent = (pool.record('VDI', vdi?.ref ?? '').sm_config as Record<string, string>)['vhd-parent'];
  expect((await mounts()).sort()).toEqual([`${vdi?.uuid}.qcow2`, `${parent}.qcow2`].sort());
  expect(pool.record('VDI', vdi?.ref ?? '').sm_config).toMatchObject({ 'image-format': 'qcow2' });
});

it('wants a session over the network and none over the control domain’s socket', async () => {
  await using world = await aPool();
  const { pool, client } = world;
  const { uuid } = await snapshotOf(pool, client, 'web-1');
  const task_id = String(await client.call('task.create', 'export', ''));
  const refused = await ask({ url: pool.url }, { session_id: 'OpaqueRef:no', task_id, vdi: uuid });
  expect(refused).toMatchObject({ status: 401, headers: { 'www-authenticate': expect.anything() } });
  expect(await client.call('task.get_record', task_id)).toMatchObject({
    status: 'failure',
    error_info: ['SESSION_AUTHENTICATION_FAILED'],
  });
  const socketPath = join(pool.hosts[0]?.dom0Root ?? '', 'var/lib/xcp/xapi');
  expect((await ask({ socketPath }, { vdi: uuid })).status).toBe(200);
  expect(JSON.stringify(pool.calls)).not.toContain('OpaqueRef:no');
});

it('says what is wrong with a request', async () => {
  await using world = await aPool({ hosts: 2 });
  const { pool, client } = world;
  const { vdi, uuid } = await snapshotOf(pool, client, 'web-1');
  const session_id = client.session;
  const task_id = String(await client.call('task.create', 'export', ''));
  const unknown = await ask({ url: pool.url }, { session_id, task_id, vdi, format: 'vmdk' });
  expect(unknown.status).toBe(404);
  expect(await client.call('task.get_error_info', task_id)).toEqual([
    'INTERNAL_ERROR',
    'Unknown format vmdk',
  ]);
  expect((await ask({ url: pool.url }, { session_id, vdi: 'no-such' })).status).toBe(500);
  expect((await ask({ url: pool.url }, { session_id })).status).toBe(500);
  const elsewhere = await ask({ url: pool.memberUrls[0] ?? '' }, { session_id, vdi: uuid, format: 'vhd' });
  expect(elsewhere).toMatchObject({
    status: 302,
    headers: { location: expect.stringMatching(/^https:\/\/127.0.0.1:\d+\/export_raw_vdi\?session_id=/) },
  });
});

it('completes the task that it was given, and has the disk attached meanwhile', async () => {
  await using world = await aPool();
  const { pool, client } = world;
  const { vdi, uuid } = await snapshotOf(pool, client, 'web-1');
  const task_id = String(await client.call('task.create', 'export', ''));
  const held = Promise.withResolvers<void>();
  pool.faults.add({ method: 'GET /export_raw_vdi', afterBytes: 5000, hold: held.promise });
  const answer = ask({ url: pool.url }, { session_id: client.session, task_id, vdi, format: 'raw' });
  while ((await pool.inventory()).attached.length === 0) await new Promise(setImmediate);
  expect(await client.fails('VDI.destroy', vdi)).toEqual(['VDI_IN_USE', vdi, 'destroy']);
  expect(await client.call('task.get_status', task_id)).toBe('pending');
  held.resolve();
  expect((await answer).body).toHaveLength(8 * 1024 ** 2);
  expect(await client.call('task.get_status', task_id)).toBe('success');
  expect((await pool.inventory()).attached).toEqual([]);
  await client.call('VDI.destroy', vdi);
  expect(pool.calls.map(({ method, args }) => [method, args])).toContainEqual([
    'GET /export_raw_vdi',
    ['<session>', { task_id, vdi, format: 'raw' }],
  ]);
  expect(uuid).not.toBe(vdi);
});

it('tells a failure after the head by its task, and with a second answer in the body', async () => {
  await using world = await aPool();
  const { pool, client } = world;
  const { vdi } = await snapshotOf(pool, client, 'web-1');
  const fail = async (fault: object) => {
    const task_id = String(await client.call('task.create', 'export', ''));
    const remove = pool.faults.add({ method: 'GET /export_raw_vdi', ...fault });
    const answer = await ask({ url: pool.url }, { session_id: client.session, task_id, vdi, format: 'vhd' });
    remove();
    while ((await client.call('task.get_status', task_id)) === 'pending') await new Promise(setImmediate);
    return { ...answer, task: (await client.call('task.get_record', task_id)) as Record<string, unknown> };
  };
  const early = await fail({ code: 'VDI_IO_ERROR', params: ['Device I/O errors'] });
  expect(early).toMatchObject({ status: 200, task: { status: 'failure' } });
  expect(early.body.toString()).toMatch(/^HTTP\/1\.1 500 /);
  const middle = await fail({ afterBytes: 5000, code: 'VDI_IO_ERROR' });
  expect(middle.task.error_info).toEqual(['VDI_IO_ERROR']);
  expect(middle.body.subarray(5000).toString()).toMatch(/^HTTP\/1\.1 500 /);
  const cut = await fail({ afterBytes: 5000, drop: 'after' });
  expect(cut.task.error_info).toEqual(['VDI_IO_ERROR', 'Device I/O errors']);
  expect(cut.body).toHaveLength(5000);
  const short = await fail({ afterBytes: 5000 });
  expect(short).toMatchObject({ whole: true, task: { status: 'success' } });
  expect(short.body).toHaveLength(5000);
  const whole = await fail({ times: 0 });
  expect((await fail({ extraBytes: 7 })).body).toHaveLength(whole.body.length + 7);
});
