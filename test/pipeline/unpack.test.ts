import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { VmSpec } from '../../local/pool/pool.ts';
import { xensnap } from '../bin/command-line.ts';
import { downloadImage, sha256Of } from '../support/bundle.ts';
import { scenario } from '../support/scenario.ts';

const deep: VmSpec = { name: 'vm', diskMib: 9, dataMib: 2, baseCopies: 3 };

it.each<[string, VmSpec, number]>([
  ['of a chain', deep, 5],
  ['that was flattened', { ...deep, sr: 'lvm' }, 1],
])('unpacks an image %s into the disk as it was at the snapshot’s moment', async (_, vm, layers) => {
  const { pool, glance, folder, request, job } = await scenario({
    vms: [vm],
    pool: { vms: 0, keepModels: true, gcQuietSeconds: 1e6, guestWrites: true },
    service: { timings: { coalesceMaxSeconds: 3 } },
  });
  const done = await job(await request('vm'));
  const [image, disk] = [join(folder, 'image.tgz'), join(folder, 'disk.raw')];
  await writeFile(image, await downloadImage(glance.url, done.id));
  const { status, stdout, stderr } = await xensnap(['unpack', image, '--to', disk, '--json']);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(JSON.parse(stdout)).toMatchObject({
    sha512: glance.images()[0]?.os_hash_value,
    virtualBytes: 9 * 1024 ** 2,
    layers: { length: layers },
  });
  expect(await sha256Of(disk)).toBe(await sha256Of(pool.modelPath(done.snapshotDisks?.[0] ?? '')));
});
