import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { SnapshotJob } from '../../functions/job.ts';
import type { SimulatedPool, VmSpec } from '../../local/pool/pool.ts';
import { logIn } from '../local/pool/client.ts';
import { type Bundle, convertWithQemu, downloadBundle, sha256Of } from '../support/bundle.ts';
import { type ScenarioOptions, scenario } from '../support/scenario.ts';
import { extractWith7zip, qemuImg, sevenZip } from '../support/seven-zip.ts';
import { validateNovaBundle } from '../support/vhd-importer.ts';
import { readChain } from '../support/vhd-reader.ts';

const onCopies: VmSpec = { name: 'deep', diskMib: 8, dataMib: 2, baseCopies: 3 };

/** A pool that models its disks and whose coalescer stays away, so that every base copy is in the bundle. */
function modelled(vm: VmSpec, more: ScenarioOptions = {}) {
  return scenario({
    ...more,
    vms: [vm, ...(more.vms ?? [])],
    pool: { vms: 0, keepModels: true, gcQuietSeconds: 1e6, ...more.pool },
    service: { timings: { coalesceMaxSeconds: 3 }, ...more.service },
  });
}

/** The first layer that, as top of its chain, does not read as the pool's model of its disk. */
async function firstWrongLayer(pool: SimulatedPool, { vhds = [] }: SnapshotJob, bundle: Bundle) {
  for (const [top, { name, uuid }] of vhds.entries()) {
    const chain = await readChain(bundle.vhds.slice(top));
    const at = await chain.compareWith(pool.modelPath(uuid));
    if (at !== null) return `${name} differs at byte ${at}`;
  }
  return null;
}

it('holds every layer as it was at the snapshot’s moment although the guest never stops writing', async () => {
  const { pool, glance, folder, request, job } = await modelled(onCopies, {
    pool: { guestWrites: true },
  });
  const vm = pool.vm('deep');
  const done = await job(await request(vm.uuid));
  expect(done).toMatchObject({ status: 'succeeded' });
  // The guest's writes since make its disk another than the snapshot's.
  const [leaf] = done.vhds ?? [];
  expect(await sha256Of(pool.modelPath(vm.rootVdi?.uuid ?? ''))).not.toBe(
    await sha256Of(pool.modelPath(leaf?.uuid ?? '')),
  );
  const bundle = await downloadBundle(glance.url, done.id, join(folder, 'bundle'));
  expect(bundle.vhds).toHaveLength(5);
  expect(await firstWrongLayer(pool, done, bundle)).toBeNull();
  expect(await validateNovaBundle(bundle.archive)).toEqual([]);
});

it('is the disk of the moment before the snapshot when the guest writes again right after it and during the upload', async () => {
  const middleOfUpload = Promise.withResolvers<void>();
  const onState = (_job: string, state: string) => {
    if (state === 'AwaitCoalesce') writes.push(pool.vm('deep').writeSome());
  };
  const writes: Promise<void>[] = [];
  const { pool, glance, folder, request, job } = await modelled(onCopies, {
    service: { onState },
  });
  const vm = pool.vm('deep');
  glance.faults.add({ method: 'PUT', path: /file$/, afterBytes: 1, hold: middleOfUpload.promise });
  const stop = glance.onUpload(({ event }) => {
    if (event !== 'started') return;
    stop();
    writes.push(vm.writeSome().then(middleOfUpload.resolve, middleOfUpload.reject));
  });
  await vm.writeSome();
  const before = join(folder, 'before.raw');
  await copyFile(pool.modelPath(vm.rootVdi?.uuid ?? ''), before);
  const done = await job(await request(vm.uuid));
  expect(done.status).toBe('succeeded');
  await Promise.all(writes);
  expect(writes.length).toBeGreaterThanOrEqual(2);
  expect(await sha256Of(pool.modelPath(vm.rootVdi?.uuid ?? ''))).not.toBe(await sha256Of(before));
  const { vhds } = await downloadBundle(glance.url, done.id, join(folder, 'bundle'));
  expect(await (await readChain(vhds)).compareWith(before)).toBeNull();
});

it.runIf(sevenZip() && qemuImg())('reads the same with 7-Zip, and its base with qemu-img', async () => {
  const { pool, glance, folder, request, job } = await modelled(onCopies);
  const done = await job(await request(pool.vm('deep').uuid));
  const { vhds } = await downloadBundle(glance.url, done.id, join(folder, 'bundle'));
  const raw = join(folder, 'out.raw');
  for (const [top, { uuid }] of (done.vhds ?? []).entries()) {
    await extractWith7zip(vhds.slice(top), raw);
    expect(await sha256Of(raw)).toBe(await sha256Of(pool.modelPath(uuid)));
  }
  const [base] = done.vhds?.slice(-1) ?? [];
  await convertWithQemu(qemuImg() ?? '', vhds.at(-1) ?? '', raw);
  expect(await sha256Of(raw)).toBe(await sha256Of(pool.modelPath(base?.uuid ?? '')));
});

it('waits for the coalescer, and takes the short chain that it leaves', async () => {
  const { pool, glance, folder, request, job } = await modelled(onCopies, {
    pool: { gcQuietSeconds: 2, gcPairSeconds: 1 },
    service: { timings: { coalesceMaxSeconds: 1e6 } },
  });
  const done = await job(await request(pool.vm('deep').uuid));
  const { vhds } = await downloadBundle(glance.url, done.id, join(folder, 'bundle'));
  expect(vhds).toHaveLength(2);
  expect(await (await readChain(vhds)).compareWith(pool.modelPath(done.vhds?.[0]?.uuid ?? ''))).toBeNull();
});

it('holds the base copy that the VM shares with a clone of the same image', async () => {
  const { pool, glance, folder, request, job } = await modelled(onCopies, {
    vms: [{ name: 'clone', diskMib: 8, sharedParentOf: 'deep' }],
  });
  const vm = pool.vm('clone');
  await vm.writeSome();
  const done = await job(await request(vm.uuid));
  const bundle = await downloadBundle(glance.url, done.id, join(folder, 'bundle'));
  expect(bundle.vhds).toHaveLength(6);
  expect(await firstWrongLayer(pool, done, bundle)).toBeNull();
});

it('is uploaded again when the coalescer writes into a base copy that is being read', async () => {
  // More than the sockets between plugin and Glance can hold, so that the plugin cannot be through with it.
  const big: VmSpec = { name: 'big', diskMib: 64, dataMib: 24, baseCopies: 3 };
  const coalesced = Promise.withResolvers<void>();
  const { pool, glance, folder, request, job } = await modelled(big, {
    pool: { gcQuietSeconds: 1, gcPairSeconds: 1 },
    prepare: async (pool) => {
      const admin = await logIn(pool.url, pool.username, pool.password);
      for (const { ref } of pool.srs) await admin.call('SR.add_to_other_config', ref, 'gc', 'false');
      await admin.call('session.logout');
    },
  });
  glance.faults.add({ method: 'PUT', path: /file$/, afterBytes: 1, hold: coalesced.promise });
  const stop = glance.onUpload(({ event }) => {
    if (event !== 'started') return;
    stop();
    void coalesceNow(pool).then(coalesced.resolve, coalesced.reject);
  });
  const done = await job(await request(pool.vm('big').uuid));
  expect(done).toMatchObject({ status: 'succeeded', uploadAttempts: 2 });
  const bundle = await downloadBundle(glance.url, done.id, join(folder, 'bundle'));
  expect(bundle.vhds).toHaveLength(2);
  const leaf = pool.modelPath(done.vhds?.[0]?.uuid ?? '');
  expect(await (await readChain(bundle.vhds)).compareWith(leaf)).toBeNull();
});

/** Lets the coalescer work, and waits until nothing is left for it. */
async function coalesceNow(pool: SimulatedPool): Promise<void> {
  const admin = await logIn(pool.url, pool.username, pool.password);
  for (const { ref } of pool.srs) {
    await admin.call('SR.remove_from_other_config', ref, 'gc');
    await admin.call('SR.scan', ref);
  }
  await admin.call('session.logout');
  // The snapshot and the VM's own leaf stand on one base copy in the end.
  while (Object.values(pool.baseCopies()).flat().length > 1)
    await new Promise((resolve) => setTimeout(resolve, 20));
}
