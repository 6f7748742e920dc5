import { expect, it } from 'vitest';
import type { DiskSpec } from '../../local/pool/build/add-vm.ts';
import { scenario } from '../support/scenario.ts';

/** A release that knows no `ignore_vdis`, and that still has quiesced snapshots. */
const old = { vms: 0, quiesce: true };
const root: DiskSpec = { mib: 2 };

it.each<[string, DiskSpec, object, string, RegExp]>([
  [
    'on an SR without snapshots',
    { mib: 4, sr: 'rawhba', name: 'data' },
    {},
    'StorageUnsupported',
    /^The disk at 1 \("data", 4\.0 MiB on "rawhba storage"\) .* SR makes no snapshots .*Move it .*, or detach it/,
  ],
  [
    'that is raw',
    { mib: 4, sr: 'lvm', format: 'raw', name: 'data' },
    {},
    'DiskFormatUnsupported',
    /^The disk at 1 \("data", 4\.0 MiB on "lvm storage"\) .* it is raw.*Move it to an SR that keeps VHDs, or detach/,
  ],
  [
    'that is raw beside the root disk on one SR',
    { mib: 4, format: 'raw', name: 'data' },
    {},
    'DiskFormatUnsupported',
    /^The disk at 1 \("data", [^)]*\) can't be snapshotted: it is raw/,
  ],
  [
    'that keeps a quiesced snapshot from being made',
    { mib: 4, sr: 'rawhba', name: 'data' },
    { quiesce: 'require' },
    'StorageUnsupported',
    /^The disk at 1 \("data", /,
  ],
])('names a second disk %s', async (_, data, more, name, message) => {
  const { request, job } = await scenario({
    pool: old,
    vms: [{ name: 'db', disks: [root, data] }],
  });
  const done = await job(await request('db', more));
  expect(done).toMatchObject({ status: 'failed', error: { name, message: expect.stringMatching(message) } });
  expect(done.error?.message).not.toContain('OpaqueRef');
});

it('names the disks that a full SR may concern, by their SRs', async () => {
  const { pool, request, job } = await scenario({
    pool: old,
    vms: [{ name: 'db', disks: [root, { mib: 4, sr: 'nfs', name: 'data' }] }],
  });
  await pool.fillSr(pool.srs.find(({ name }) => /nfs/i.test(name))?.uuid ?? '', true);
  const done = await job(await request('db'));
  expect(done.error).toEqual({
    name: 'StorageFull',
    message: expect.stringMatching(
      /^One of the disks 0 \("db 0", .*, 1 \("data", .* on "nfs[^"]*"\) .*Free some space\.$/i,
    ),
  });
});

it('images the root disk beside disks that cannot be snapshotted where the release leaves them out', async () => {
  const { request, job } = await scenario({
    pool: { vms: 0 },
    vms: [{ name: 'db', disks: [root, { mib: 4, sr: 'rawhba' }, { mib: 4, format: 'raw' }] }],
  });
  expect(await job(await request('db'))).toMatchObject({ status: 'succeeded', device: '0' });
});
