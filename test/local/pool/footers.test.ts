import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { expect, it } from 'vitest';
import { isWhole, snapshotOf } from './a-disk.ts';
import { aPool } from './a-pool.ts';

/** What a file ends with: its footer, what tapdisk writes over one, or data. */
function endOf(path = ''): 'footer' | 'killed' | 'data' {
  const { size } = statSync(path);
  const file = openSync(path, 'r');
  const bytes = Buffer.alloc(512);
  readSync(file, bytes, 0, bytes.length, size - bytes.length);
  closeSync(file);
  if (bytes.toString('latin1', 0, 8) === 'conectix') return 'footer';
  return bytes.every((byte) => byte === 0xc7) ? 'killed' : 'data';
}

it('has no footer at the end of a disk while a VM has it open, and puts it back when it is closed', async () => {
  await using world = await aPool({ keepModels: true });
  const vm = world.pool.vm('web-1');
  const path = vm.rootVdi?.path;
  expect(endOf(path)).toBe('killed');
  vm.setPowerState('Halted');
  expect(endOf(path)).toBe('footer');
  vm.setPowerState('Running');
  await snapshotOf(world.pool, world.client, vm);
  await vm.writeSome();
  expect(endOf(path)).toBe('data');
  vm.setPowerState('Halted');
  expect(endOf(path)).toBe('footer');
  expect(await isWhole(world.pool, world.pool.srs[0]?.folder ?? '', vm.rootVdi?.uuid ?? '')).toBe(true);
});

it('closes a disk for its snapshot, and opens the new leaf', async () => {
  await using world = await aPool();
  const { pool, client } = world;
  const vm = pool.vm('web-1');
  const [sr] = pool.srs;
  const { uuid } = await snapshotOf(pool, client, vm);
  const [base] = pool.baseCopies()[sr?.uuid ?? ''] ?? [];
  expect(endOf(vm.rootVdi?.path)).toBe('killed');
  for (const each of [uuid, base]) expect(endOf(`${sr?.folder}/${each}.vhd`)).toBe('footer');
  expect(pool.record('VDI', vm.rootVdi?.ref ?? '').sm_config).not.toHaveProperty('paused');
});

it('has none on a base copy while a block is allocated in it, and scans the SR nevertheless', async () => {
  await using world = await aPool({ vms: 0, gcQuietSeconds: 1e6 });
  const { pool, client } = world;
  await pool.addVm({ name: 'deep', diskMib: 16, dataMib: 0, baseCopies: 3 });
  const [sr] = pool.srs;
  const seen: string[] = [];
  // From there on a leaf is merged, with the SR's lock held.
  for (let step = await pool.stepCoalescer(sr?.uuid ?? ''); step && step !== 'leaf paused'; ) {
    if (step === 'block allocated' || step === 'block merged') {
      const ends = (pool.baseCopies()[sr?.uuid ?? ''] ?? []).map((uuid) =>
        endOf(`${sr?.folder}/${uuid}.vhd`),
      );
      const missing = ends.filter((end) => end !== 'footer').length;
      seen.push(`${step}: ${missing}`);
      await client.call('SR.scan', sr?.ref);
    }
    step = await pool.stepCoalescer(sr?.uuid ?? '');
  }
  expect(new Set(seen)).toEqual(new Set(['block allocated: 1', 'block merged: 0']));
});
