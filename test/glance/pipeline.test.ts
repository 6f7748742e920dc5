import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import type { VmSpec } from '../../local/pool/pool.ts';
import { downloadBundle } from '../support/bundle.ts';
import { type Link, type LinkOptions, startLink } from '../support/link.ts';
import { askRestore, holdsExactly, restored, takeAway } from '../support/restoring.ts';
import { type ScenarioOptions, scenario } from '../support/scenario.ts';
import { validateNovaBundle } from '../support/vhd-importer.ts';
import { readChain } from '../support/vhd-reader.ts';

const realUrl = process.env.XENSNAP_GLANCE_URL ?? '';

const deep: VmSpec = { name: 'deep', diskMib: 8, dataMib: 4, baseCopies: 2 };

/** The whole pipeline with the real Glance in the place of the embedded one. */
async function pipeline(options: ScenarioOptions = {}, glanceUrl = realUrl) {
  const all = await scenario({
    ...options,
    vms: [deep, ...(options.vms ?? [])],
    pool: { vms: 0, keepModels: true, gcQuietSeconds: 1e6, ...options.pool },
    service: { glance: { url: glanceUrl }, timings: { coalesceMaxSeconds: 3, uploadRetrySeconds: 1 } },
  });
  return {
    ...all,
    async image(id: string): Promise<Record<string, unknown> | undefined> {
      const response = await fetch(`${realUrl}/v2/images/${id}`);
      if (response.status === 404) return undefined;
      return (await response.json()) as Record<string, unknown>;
    },
  };
}

/** A link to the real Glance that is bad for uploads, or downloads: they are larger than all else that goes that way. */
async function badLink(options: Omit<LinkOptions, 'afterBytes'>): Promise<Link> {
  const link = await startLink(realUrl, { ...options, afterBytes: 500_000 });
  onTestFinished(() => link.close());
  return link;
}

it('puts the image of a VM into a real Glance whose name that would not take', async () => {
  const name = `🚀 ${'n'.repeat(252)}🚀`;
  const { pool, request, job, image, leftBehind } = await pipeline({
    vms: [{ name, diskMib: 2, boot: { firmware: 'uefi' } }],
  });
  const done = await job(
    await request(pool.vm(name).uuid, {
      metadata: { team: 'blue 🐳' },
      backup: { type: 'täglich', keep: 2 },
    }),
  );
  onTestFinished(async () => void (await fetch(`${realUrl}/v2/images/${done.id}`, { method: 'DELETE' })));
  expect(done.error).toBeUndefined();
  expect(await image(done.id)).toMatchObject({
    name: expect.stringMatching(/^\ufffd n{235}-2.*Z$/),
    status: 'active',
    min_disk: 1,
    team: 'blue \ufffd',
    backup_type: 'täglich',
    hw_firmware_type: 'uefi',
    xensnap_vm_name: `\ufffd ${'n'.repeat(252)}\ufffd`,
    xensnap_verified: 'true',
  });
  expect(await leftBehind()).toEqual([]);
});

it('puts the disk of the snapshot’s moment into a real Glance, whole and described', async () => {
  const { pool, folder, request, job, image, leftBehind } = await pipeline({ pool: { guestWrites: true } });
  const vm = pool.vm('deep');
  const done = await job(await request('deep', { name: 'from the pipeline', metadata: { team: 'blue' } }));
  onTestFinished(async () => void (await fetch(`${realUrl}/v2/images/${done.id}`, { method: 'DELETE' })));
  expect(done.error).toBeUndefined();
  expect(done.status).toBe('succeeded');
  const bundle = await downloadBundle(realUrl, done.id, join(folder, 'bundle'));
  expect(await image(done.id)).toMatchObject({
    name: 'from the pipeline',
    status: 'active',
    visibility: 'private',
    disk_format: 'vhd',
    container_format: 'ovf',
    size: bundle.sizeBytes,
    os_hash_algo: 'sha512',
    os_hash_value: bundle.sha512,
    image_type: 'snapshot',
    instance_uuid: vm.uuid,
    team: 'blue',
    xensnap_consistency: 'crash-consistent',
    xensnap_job: done.id,
    xensnap_verified: 'true',
  });
  expect(done).toMatchObject({ sha512: bundle.sha512, imageBytes: bundle.sizeBytes });
  expect(bundle.vhds).toHaveLength(4);
  for (const [top, { uuid }] of (done.vhds ?? []).entries())
    expect(await (await readChain(bundle.vhds.slice(top))).compareWith(pool.modelPath(uuid))).toBeNull();
  expect(await validateNovaBundle(bundle.archive)).toEqual([]);
  expect(await leftBehind()).toEqual([]);
});

it('leaves no image in a real Glance when it is cancelled in the middle of the upload', async () => {
  const link = await badLink({ effect: 'hold', times: 1 });
  const { ask, request, job, image, leftBehind } = await pipeline({}, link.url);
  const id = await request('deep');
  await link.struck;
  await expect.poll(async () => (await image(id))?.status).toBe('saving');
  expect((await ask('DELETE', `/snapshots/${id}`)).status).toBe(202);
  expect(await job(id)).toMatchObject({ status: 'cancelled', error: { name: 'JobCancelled' } });
  expect(await image(id)).toBeUndefined();
  expect(await leftBehind()).toEqual([]);
});

it('leaves no image in a real Glance when the snapshot fails', async () => {
  const { pool, request, job, image, leftBehind } = await pipeline();
  pool.faults.add({ method: 'VM.snapshot', code: 'SR_BACKEND_FAILURE_44', params: ['', 'no space', ''] });
  const done = await job(await request('deep'));
  expect(done).toMatchObject({ status: 'failed', error: { name: 'StorageFull' } });
  expect(await image(done.id)).toBeUndefined();
  expect(await leftBehind()).toEqual([]);
});

it('leaves no image in a real Glance when every upload breaks off', async () => {
  const link = await badLink({ effect: 'cut', times: 3 });
  const { request, job, image, leftBehind } = await pipeline({}, link.url);
  const done = await job(await request('deep'));
  expect(done).toMatchObject({ status: 'failed', error: { name: 'GlanceUnavailable' }, uploadAttempts: 3 });
  expect(link.count()).toBe(3);
  expect(await image(done.id)).toBeUndefined();
  expect(await leftBehind()).toEqual([]);
});

it('uploads into the same image of a real Glance again when an upload has broken off', async () => {
  const link = await badLink({ effect: 'cut', times: 1 });
  const { pool, folder, request, job, image, leftBehind } = await pipeline({}, link.url);
  const done = await job(await request('deep'));
  onTestFinished(async () => void (await fetch(`${realUrl}/v2/images/${done.id}`, { method: 'DELETE' })));
  expect(done.error).toBeUndefined();
  expect(done).toMatchObject({ status: 'succeeded', uploadAttempts: 2 });
  expect(await image(done.id)).toMatchObject({ status: 'active', os_hash_value: done.sha512 });
  const { vhds } = await downloadBundle(realUrl, done.id, join(folder, 'bundle'));
  expect(await (await readChain(vhds)).compareWith(pool.modelPath(done.vhds?.[0]?.uuid ?? ''))).toBeNull();
  expect(await leftBehind()).toEqual([]);
});

it('brings the disk of the snapshot’s moment back from a real Glance, over a link that breaks off', async () => {
  const link = await badLink({ effect: 'cut', times: 4, direction: 'down' });
  const { pool, service, request, job, leftBehind } = await pipeline(
    { pool: { guestWrites: true } },
    link.url,
  );
  for (const wish of [{}, { flatten: true }, { format: 'raw' }]) {
    const taken = await job(await request('deep', wish));
    onTestFinished(async () => void (await fetch(`${realUrl}/v2/images/${taken.id}`, { method: 'DELETE' })));
    const then = await readFile(pool.modelPath(taken.snapshotDisks?.[0] ?? ''));
    const done = await restored(service, await askRestore(service, taken.id));
    expect(done.error).toBeUndefined();
    // What had come was not asked for again.
    expect(done).toMatchObject({ status: 'succeeded', uploadAttempts: 1, bytesRead: taken.imageBytes });
    expect(await holdsExactly(pool, done, then)).toBe(true);
    await takeAway(service, done);
  }
  expect(link.count()).toBe(4);
  expect(await leftBehind()).toEqual([]);
});
