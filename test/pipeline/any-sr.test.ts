import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Fault, VmSpec } from '../../local/pool/pool.ts';
import { convertWithQemu, downloadBundle, downloadImage, sha256Of } from '../support/bundle.ts';
import { type ScenarioOptions, scenario } from '../support/scenario.ts';
import { qemuImg } from '../support/seven-zip.ts';
import { validateNovaBundle } from '../support/vhd-importer.ts';
import { readChain } from '../support/vhd-reader.ts';

const EXPORT = 'GET /export_raw_vdi';
const deep: VmSpec = { name: 'vm', diskMib: 9, dataMib: 2, baseCopies: 3 };

/** A pool that models its disks and whose coalescer stays away. */
function modelled(vm: VmSpec, more: ScenarioOptions = {}) {
  return scenario({
    ...more,
    vms: [vm],
    pool: { vms: 0, keepModels: true, gcQuietSeconds: 1e6, ...more.pool },
    service: { timings: { coalesceMaxSeconds: 3 } },
  });
}

it.each<[string, VmSpec]>([
  ['an lvm SR', { ...deep, sr: 'lvm' }],
  ['an lvmohba SR', { ...deep, sr: 'lvmohba', powerState: 'Halted' }],
  ['an ext SR as QCOW2', { ...deep, rootFormat: 'qcow2' }],
  ['an smb SR', { ...deep, sr: 'smb' }],
  ['an smb SR as QCOW2', { ...deep, sr: 'smb', rootFormat: 'qcow2' }],
])('makes one flattened VHD of a disk on %s, as it was at the snapshot’s moment', async (_, vm) => {
  const { pool, glance, folder, request, job } = await modelled(vm, {
    pool: { guestWrites: true },
  });
  const done = await job(await request('vm'));
  expect(done).toMatchObject({ status: 'succeeded', readsChain: false });
  const snapshot = done.snapshotDisks?.[0] ?? '';
  // The guest's writes since make its disk another than the snapshot's.
  await pool.vm('vm').writeSome();
  expect(await sha256Of(pool.modelPath(pool.vm('vm').rootVdi?.uuid ?? ''))).not.toBe(
    await sha256Of(pool.modelPath(snapshot)),
  );
  const bundle = await downloadBundle(glance.url, done.id, join(folder, 'bundle'));
  expect(done.vhds).toEqual([{ name: '0.vhd', uuid: snapshot, bytes: done.bytesRead }]);
  expect(await validateNovaBundle(bundle.archive)).toEqual([]);
  const chain = await readChain(bundle.vhds);
  expect(chain.layers).toMatchObject([{ virtualBytes: 9 * 1024 ** 2, hidden: false }]);
  expect(await chain.compareWith(pool.modelPath(snapshot))).toBeNull();
  expect(glance.images()).toMatchObject([
    { status: 'active', disk_format: 'vhd', container_format: 'ovf', size: done.imageBytes },
  ]);
  const methods = pool.calls.map(({ method }) => method);
  // No chain is read, so nobody waits until it is short.
  expect(methods).not.toContain('SR.scan');
  expect(methods.filter((method) => method === EXPORT)).toHaveLength(1);
});

it.runIf(qemuImg())('makes a flattened VHD that qemu-img reads', async () => {
  const { pool, glance, folder, request, job } = await modelled({ ...deep, diskMib: 8, sr: 'lvm' });
  const done = await job(await request('vm'));
  const { vhds } = await downloadBundle(glance.url, done.id, join(folder, 'bundle'));
  const raw = join(folder, 'out.raw');
  await convertWithQemu(qemuImg() ?? '', vhds[0] ?? '', raw);
  expect(await sha256Of(raw)).toBe(await sha256Of(pool.modelPath(done.snapshotDisks?.[0] ?? '')));
});

it('flattens a chain of more files than Nova’s importer takes', async () => {
  const { pool, glance, folder, request, job } = await modelled({
    ...deep,
    baseCopies: 17,
    sr: 'nfs',
  });
  const done = await job(await request('vm'));
  expect(done).toMatchObject({ status: 'succeeded', readsChain: true });
  const { vhds } = await downloadBundle(glance.url, done.id, join(folder, 'bundle'));
  expect(vhds).toHaveLength(1);
  expect(await (await readChain(vhds)).compareWith(pool.modelPath(done.snapshotDisks?.[0] ?? ''))).toBeNull();
});

it.each<[string, VmSpec]>([
  ['an ext SR', deep],
  ['an lvm SR', { ...deep, sr: 'lvm' }],
  ['an ext SR as QCOW2', { ...deep, rootFormat: 'qcow2' }],
])('sends the bare disk on %s, zeros and all, where raw is asked for', async (_, vm) => {
  const { pool, glance, folder, ask, request, job } = await modelled(vm);
  const before = join(folder, 'before.raw');
  await copyFile(pool.modelPath(pool.vm('vm').rootVdi?.uuid ?? ''), before);
  const reading = Promise.withResolvers<void>();
  pool.faults.add({ method: EXPORT, afterBytes: 1, hold: reading.promise });
  const id = await request('vm', { format: 'raw' });
  await job(id, ({ uploadAttempts }) => uploadAttempts === 1);
  await pool.vm('vm').writeSome();
  reading.resolve();
  const done = await job(id);
  const bytes = 9 * 1024 ** 2;
  expect(done).toMatchObject({ status: 'succeeded', bytesRead: bytes, bytesTotal: bytes, imageBytes: bytes });
  expect(glance.images()).toMatchObject([
    {
      status: 'active',
      disk_format: 'raw',
      container_format: 'bare',
      min_disk: 1,
      size: bytes,
      os_hash_value: done.sha512,
      properties: { image_type: 'snapshot', vm_mode: 'hvm', xensnap_verified: 'true' },
    },
  ]);
  expect((await downloadImage(glance.url, done.id)).equals(await readFile(before))).toBe(true);
  expect((await ask('GET', `/snapshots/${done.id}`)).body).toMatchObject({
    format: 'raw',
    vhds: [],
    sizeBytes: bytes,
  });
});

const MIDDLE = 1_500_000;

it.each<[string, Omit<Fault, 'method'>, 'vhd' | 'raw']>([
  ['cuts the connection in the middle', { afterBytes: MIDDLE, drop: 'after' }, 'vhd'],
  ['ends before what the BAT says', { afterBytes: MIDDLE }, 'vhd'],
  ['ends before the end of a raw disk', { afterBytes: MIDDLE }, 'raw'],
])('uploads again when the export %s', async (_, fault, format) => {
  const { pool, glance, request, job } = await modelled({ ...deep, sr: 'lvm' });
  pool.faults.add({ method: EXPORT, ...fault, times: 1 });
  const done = await job(await request('vm', { format }));
  expect(done).toMatchObject({ status: 'succeeded', uploadAttempts: 2 });
  expect(glance.images()).toMatchObject([{ status: 'active', size: done.imageBytes }]);
});

it.each<[string, Omit<Fault, 'method'>, number, RegExp]>([
  [
    'is refused',
    { code: 'SR_OPERATION_NOT_SUPPORTED', params: ['OpaqueRef:sr'] },
    1,
    /SR_OPERATION_NOT_SUPPORTED.*\(EXPORT_REFUSED\)/,
  ],
  ['is too short each time', { afterBytes: MIDDLE }, 3, /ended before.*\(EXPORT_FAILED\)/],
])(
  'fails, with nothing in Glance or left behind, when the export %s',
  async (_, fault, attempts, message) => {
    const { pool, glance, request, job } = await modelled({ ...deep, sr: 'lvm' });
    pool.faults.add({ method: EXPORT, ...fault });
    const done = await job(await request('vm'));
    expect(done).toMatchObject({
      status: 'failed',
      uploadAttempts: attempts,
      error: { name: 'UploadFailed', message: expect.stringMatching(message) },
    });
    expect(glance.images()).toEqual([]);
  },
);

it('is cancelled in the middle of an export', async () => {
  const held = Promise.withResolvers<void>();
  const { pool, glance, ask, request, job } = await modelled({ ...deep, sr: 'lvm' });
  pool.faults.add({ method: EXPORT, afterBytes: MIDDLE, hold: held.promise });
  const id = await request('vm');
  await job(id, ({ bytesTotal = 0, bytesRead = 0 }) => bytesTotal > 0 && bytesRead < bytesTotal);
  expect((await ask('DELETE', `/snapshots/${id}`)).status).toBe(202);
  await job(id, ({ debts }) => !debts?.has('plugin'));
  held.resolve();
  expect(await job(id)).toMatchObject({ status: 'cancelled' });
  expect(glance.images()).toEqual([]);
});
