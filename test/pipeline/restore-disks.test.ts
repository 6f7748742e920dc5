import { execFile } from 'node:child_process';
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import type { VmSpec } from '../../local/pool/pool.ts';
import { modelledChain, pattern, type Write } from '../local/vhd/modelled-chain.ts';
import { askRestore, holdsExactly, restored, takeAway } from '../support/restoring.ts';
import { scenario } from '../support/scenario.ts';

const run = promisify(execFile);
const MIB = 2 ** 20;
const deep = { diskMib: 9, dataMib: 2, baseCopies: 3 };

/** What is imaged, and how. Each guest writes on before, during and after its snapshot. */
const IMAGES: readonly { readonly vm: VmSpec; readonly wish?: object; readonly vhds: number }[] = [
  { vm: { ...deep, name: 'a chain' }, vhds: 5 },
  { vm: { ...deep, name: 'a flattened one' }, wish: { flatten: true }, vhds: 1 },
  { vm: { ...deep, name: 'a raw one' }, wish: { format: 'raw' }, vhds: 0 },
  { vm: { ...deep, name: 'a chain on NFS', sr: 'nfs' }, vhds: 5 },
  { vm: { ...deep, name: 'one on LVM', sr: 'lvm' }, vhds: 1 },
  { vm: { ...deep, name: 'a QCOW2 one', rootFormat: 'qcow2' }, vhds: 1 },
];

/** The SRs that all of them are brought back into. */
const SRS = ['Local storage', 'NFS shared storage', 'lvm storage', 'lvmohba storage', 'smb storage'];

it('brings each kind of image back into each kind of SR as the disk was at the snapshot’s moment', async () => {
  const elsewhere: VmSpec = {
    ...{ name: 'elsewhere', powerState: 'Halted' },
    disks: [
      { sr: 'lvmohba', mib: 2 },
      { sr: 'smb', mib: 2 },
    ],
  };
  const { pool, service, request, job } = await scenario({
    vms: [...IMAGES.map(({ vm }) => vm), elsewhere],
    pool: { vms: 0, keepModels: true, guestWrites: true, gcQuietSeconds: 1e6 },
    service: { timings: { coalesceMaxSeconds: 3 } },
    slots: 4,
  });
  const srs = SRS.map((name) => pool.srs.find((sr) => sr.name === name)?.uuid ?? '');
  const [, , , raw = '', qcow2 = ''] = srs;
  // Volumes that nobody has zeroed, and files that are no VHDs.
  pool.setNewDisks(raw, 'raw');
  pool.setNewDisks(qcow2, 'qcow2');
  await Promise.all(
    IMAGES.map(async ({ vm: { name }, wish, vhds }, at) => {
      const taken = await job(await request(name, wish));
      expect(taken, name).toMatchObject({ status: 'succeeded', vhds: Array(vhds).fill({}) });
      const vm = pool.vm(name);
      await vm.writeSome();
      await vm.stopWriting();
      const then = await readFile(pool.modelPath(taken.snapshotDisks?.[0] ?? ''));
      expect(then.equals(await readFile(pool.modelPath(vm.rootVdi?.uuid ?? ''))), name).toBe(false);
      // The formats go into every SR; what else there is to read, into one each.
      const into = at < 3 ? srs : srs.slice(at - 3, at - 2);
      for (const sr of into) {
        const done = await restored(service, await askRestore(service, taken.id, { sr }));
        expect(done, `${name} into ${sr}`).toMatchObject({ status: 'succeeded', srUuid: sr });
        expect(await holdsExactly(pool, done, then), `${name} into ${sr}`).toBe(true);
        await takeAway(service, done);
      }
    }),
  );
}, 300_000);

/** How Nova's hosts have packed a chain of three since 2010: names, leaf first, and what `tar` was told. */
const LAYOUTS: readonly {
  readonly what: string;
  readonly names: (uuids: readonly string[]) => readonly string[];
  readonly tar?: readonly string[];
  /** Without the base, so that the image is of the upper layers alone. */
  readonly from?: number;
  readonly beside?: string;
}[] = [
  { what: 'numbers, in the folder’s own order', names: numbered },
  { what: 'numbers, base first', names: numbered, tar: ['2.vhd', '1.vhd', '0.vhd'] },
  { what: 'snap, image and base', names: () => ['snap.vhd', 'image.vhd', 'base.vhd'] },
  { what: 'image and base', names: () => ['image.vhd', 'base.vhd'], from: 1 },
  { what: 'one by its UUID', names: ([, , base]) => [`${base}.vhd`], from: 2 },
  { what: 'a swap disk beside', names: numbered, beside: 'swap.vhd' },
  { what: 'pax headers', names: numbered, tar: ['--format=pax', '--pax-option=comment=nova', '.'] },
  { what: 'odd owners and modes', names: numbered, tar: ['--owner=4711', '--group=root', '--mode=000', '.'] },
  { what: 'v7, of 1970', names: numbered, tar: ['--format=v7', '--mtime=@0', '0.vhd', '1.vhd', '2.vhd'] },
];

function numbered(uuids: readonly string[]): readonly string[] {
  return uuids.map((_, at) => `${at}.vhd`);
}

const BYTES = 3 * MIB + 3 * 512;
const CHAIN: readonly (readonly Write[])[] = [
  [
    { sector: 0, data: pattern(1, 1) },
    { sector: 4000, data: pattern(2, 1000) },
  ],
  [{ sector: 4095, data: pattern(3, 2) }],
  [
    { sector: 4500, data: Buffer.alloc(3 * 512) },
    { sector: BYTES / 512 - 1, data: pattern(4, 1) },
  ],
];

it('brings back what Nova has made of XenServer’s VMs, in each of its layouts', async () => {
  const { pool, glance, service, folder, ask } = await scenario({ pool: { vms: 0 }, slots: 3 });
  const dir = join(folder, 'nova');
  await mkdir(dir);
  const chain = await modelledChain(dir, BYTES, CHAIN);
  const sr = pool.srs.find(({ name }) => name === 'NFS shared storage')?.uuid;
  await Promise.all(
    LAYOUTS.map(async ({ what, names, tar = ['.'], from = 0, beside }, at) => {
      const files = join(dir, String(at));
      await mkdir(files);
      const layers = chain.slice(from);
      for (const [i, name] of names(chain.map(({ uuid }) => uuid)).entries())
        await copyFile(layers[i]?.path ?? '', join(files, name));
      if (beside !== undefined) await copyFile(chain[2]?.path ?? '', join(files, beside));
      await run('tar', ['-czf', `${files}.tgz`, '-C', files, ...tar]);
      const image = await uploaded(glance.url, what, await readFile(`${files}.tgz`));
      const { status, body } = await ask('POST', '/restores', { image, sr });
      expect(status, what).toBe(202);
      const done = await restored(service, body.id);
      expect(done.error, what).toBeUndefined();
      // It says nothing of its VM, and Nova rounds the disk up to GiB.
      expect(done, what).toMatchObject({ status: 'succeeded', virtualBytes: 2 ** 30 });
      expect(done.warnings?.join(), what).toMatch(/never verified.*only its disk/);
      const disk = await readFile(layers[0]?.rawPath ?? '');
      expect(await holdsExactly(pool, done, disk), what).toBe(true);
      await takeAway(service, done);
    }),
  );
}, 300_000);

/** Puts an image into Glance as Nova did; answers its id. */
async function uploaded(glanceUrl: string, name: string, data: Buffer): Promise<string> {
  const send = (method: string, path: string, type: string, body: string | Uint8Array<ArrayBuffer>) =>
    fetch(`${glanceUrl}/v2/images${path}`, { method, body, headers: { 'content-type': type } });
  const made = await send(
    ...(['POST', '', 'application/json'] as const),
    JSON.stringify({ name, disk_format: 'vhd', container_format: 'ovf', min_disk: 1 }),
  );
  const { id } = (await made.json()) as { id: string };
  const stored = await send('PUT', `/${id}/file`, 'application/octet-stream', new Uint8Array(data));
  expect([made.status, stored.status]).toEqual([201, 204]);
  return id;
}
