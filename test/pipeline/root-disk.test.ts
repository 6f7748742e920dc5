import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { VmSpec } from '../../local/pool/pool.ts';
import { downloadBundle } from '../support/bundle.ts';
import { scenario } from '../support/scenario.ts';
import { validateNovaBundle } from '../support/vhd-importer.ts';
import { readChain } from '../support/vhd-reader.ts';

const MIB = 1024 ** 2;

/** A VM as Terraform's provider for Xen Orchestra leaves it: the cloud-init drive came first. */
const terraform: VmSpec = {
  name: 'tf',
  dataMib: 1,
  disks: [
    { device: 0, bootable: false, mib: 10, name: 'XO CloudConfigDrive' },
    { device: 1, bootable: true, mib: 80, name: 'system' },
  ],
};

function world(vm: VmSpec, quiesce = false) {
  return scenario({ pool: { vms: 0, keepModels: true, quiesce }, vms: [vm] });
}

it.each<[string, VmSpec, number, object]>([
  ['the system disk behind a cloud-init drive', terraform, 1, {}],
  ['the same where the release snapshots every disk', terraform, 1, { quiesce: true }],
  [
    'the only disk, at 1 behind a CD drive',
    { ...terraform, cd: { device: 0 }, disks: [{ device: 1 }] },
    1,
    {},
  ],
  [
    'the disk that is asked for',
    { ...terraform, disks: [{ mib: 2 }, { mib: 4, bootable: true }] },
    1,
    { device: 1 },
  ],
  [
    'the first one, asked for by its text',
    { ...terraform, disks: [{ mib: 4 }, { mib: 2, bootable: true }] },
    0,
    { device: '0' },
  ],
])(
  'images %s',
  async (_, vm, device, { quiesce = false, ...more }: { quiesce?: boolean; device?: unknown }) => {
    const { pool, glance, folder, ask, request, job } = await world(vm, quiesce);
    const done = await job(await request('tf', more));
    expect(done.error).toBeUndefined();
    const { disks } = pool.vm('tf');
    const root = disks.find((disk) => disk.device === device);
    expect(done).toMatchObject({ status: 'succeeded', device: String(device) });
    expect(done.taggedDisks?.[0]).toBe(root?.ref);
    expect(done.snapshotDisks).toHaveLength(quiesce ? disks.length : 1);
    const { vhds, archive } = await downloadBundle(glance.url, done.id, join(folder, 'bundle'));
    expect(await validateNovaBundle(archive)).toEqual([]);
    expect(await (await readChain(vhds)).compareWith(pool.modelPath(root?.uuid ?? ''))).toBeNull();
    expect((await ask('GET', `/snapshots/${done.id}`)).body.device).toBe(String(device));
    expect(done.virtualBytes).toBe(Number(pool.records('VDI')[root?.ref ?? '']?.virtual_size));
    const [seen] = (await ask('GET', '/vms')).body.vms;
    if (Object.keys(more).length === 0)
      expect(seen).toMatchObject({ rootDevice: String(device), rootDiskBytes: done.virtualBytes });
    const warned = device !== disks[0]?.device;
    expect(done.warnings ?? []).toEqual(
      warned
        ? [expect.stringMatching(/^The image is of the disk at 1 \("[^"]+", .*not of .*, 0 \("[^"]+", /)]
        : [],
    );
  },
);

it('refuses a VM of which two disks are marked bootable, with the choices, until it is told which', async () => {
  const { pool, ask, request, job } = await world({
    ...terraform,
    disks: [
      { mib: 8, name: 'old' },
      { mib: 8, name: 'new', bootable: true, sr: 'lvm' },
    ],
  });
  const { status, body } = await ask('POST', '/snapshots', { vm: 'tf' });
  expect({ status, ...body.error }).toEqual({
    status: 409,
    name: 'RootDiskAmbiguous',
    message: expect.stringMatching(/"tf" .*2 are marked bootable.*0 \("old", 8\.0 MiB on ".*1 \("new", /),
    candidates: [
      { device: '0', name: 'old', sizeBytes: 8 * MIB, sr: expect.any(String), bootable: true },
      { device: '1', name: 'new', sizeBytes: 8 * MIB, sr: 'lvm storage', bootable: true },
    ],
  });
  expect((await ask('GET', '/snapshots')).body.snapshots).toEqual([]);
  expect((await ask('GET', '/vms')).body.vms).toMatchObject([{ rootDevice: null, rootDiskBytes: null }]);
  const unknown = await ask('POST', '/snapshots', { vm: 'tf', device: 3 });
  expect([unknown.status, unknown.body.error.name]).toEqual([400, 'BadRequest']);
  expect(unknown.body.error.message).toMatch(/^device: .* no disk at 3; it has 0 \("old".*1 \("new"/);
  expect(pool.calls.map(({ method }) => method)).not.toContain('Async.VM.snapshot');
  const done = await job(await request('tf', { device: '1' }));
  expect(done).toMatchObject({ status: 'succeeded', device: '1', readsChain: false });
});

it('ends a scheduled run by name where the root disk is in doubt, and follows the device of the schedule', async () => {
  const { ask, request, job } = await world({
    ...terraform,
    disks: [{ mib: 8 }, { mib: 8, bootable: true }],
  });
  const schedule = { rate: 'rate(1 hour)', backupType: 'hourly', keep: 1 };
  expect((await ask('POST', '/schedules', { vm: 'tf', ...schedule })).body.error.name).toBe(
    'RootDiskAmbiguous',
  );
  const wrong = await ask('POST', '/schedules', { vm: 'tf', ...schedule, device: 2 });
  expect([wrong.status, wrong.body.error.message]).toEqual([400, expect.stringMatching(/^device: /)]);
  const { status, body } = await ask('POST', '/schedules', {
    vm: 'tf',
    ...schedule,
    device: 1,
    flatten: true,
  });
  expect([status, body.device, body.flatten]).toEqual([201, '1', true]);
  const again = await ask('PUT', `/schedules/${body.id}`, { vm: body.vm.uuid, ...schedule, device: 7 });
  expect([again.status, again.body.error.message]).toEqual([400, expect.stringMatching(/no disk at 7/)]);
  const done = await job(await request('tf', { device: body.device, backup: { type: 'hourly', keep: 1 } }));
  expect(done.status).toBe('succeeded');
});

it('makes one flattened VHD of a chain on request', async () => {
  const { pool, glance, folder, ask, request, job } = await world({
    ...terraform,
    disks: [{ mib: 8 }],
    baseCopies: 3,
  });
  const raw = await ask('POST', '/snapshots', { vm: 'tf', format: 'raw', flatten: true });
  expect([raw.status, raw.body.error]).toMatchObject([
    400,
    { name: 'BadRequest', message: expect.stringMatching(/^flatten: .*flat already/) },
  ]);
  const done = await job(await request('tf', { flatten: true }));
  expect(done).toMatchObject({ status: 'succeeded', readsChain: false, vhds: [{ name: '0.vhd' }] });
  expect(done.vhds).toHaveLength(1);
  const { vhds } = await downloadBundle(glance.url, done.id, join(folder, 'bundle'));
  expect(await (await readChain(vhds)).compareWith(pool.modelPath(done.snapshotDisks?.[0] ?? ''))).toBeNull();
  expect((await ask('GET', `/snapshots/${done.id}`)).body).toMatchObject({ format: 'vhd', flatten: true });
  const chained = await job(await request('tf', { flatten: false, force: true }));
  expect(chained.vhds?.length).toBeGreaterThan(1);
});
