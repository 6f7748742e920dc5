import { expect, it } from 'vitest';
import type { SimulatedPool } from '../../../local/pool/pool.ts';
import { aPool } from './a-pool.ts';
import { vdiRecord } from './a-vm-record.ts';

const MIB = 1024 ** 2;

const srOf = (pool: SimulatedPool, name: string) =>
  pool.srs.find((sr) => sr.name === name) ?? { ref: '', uuid: '' };

async function withLvm() {
  const world = await aPool({ vms: 0 });
  await world.pool.addVm({ name: 'vm', diskMib: 2, sr: 'lvm' });
  return { ...world, world, lvm: srOf(world.pool, 'lvm storage'), local: srOf(world.pool, 'Local storage') };
}

it('makes a disk in whole blocks, which reads as zeros and goes again', async () => {
  await using world = await aPool({ vms: 0 });
  const { pool, client } = world;
  const { ref, uuid } = srOf(pool, 'NFS shared storage');
  const before = await pool.inventory();
  const vdi = await client.call(
    'VDI.create',
    vdiRecord(ref, 5 * MIB - 1, { name_label: 'new', tags: ['a'], other_config: { owner: 'b' } }),
  );
  expect(await client.call('VDI.get_record', vdi)).toMatchObject({
    ...{ virtual_size: String(6 * MIB), name_label: 'new', tags: ['a'], other_config: { owner: 'b' } },
    ...{ managed: true, is_a_snapshot: false, sm_config: {} },
    ...{ allowed_operations: expect.arrayContaining(['destroy', 'resize']) },
  });
  await client.call('VDI.set_name_label', vdi, 'renamed');
  expect((await pool.inventory()).vdis).toMatchObject([{ name: 'renamed', sr: uuid }]);
  const query = `session_id=${client.session}&vdi=${await client.call('VDI.get_uuid', vdi)}&format=raw`;
  const exported = Buffer.from(await (await fetch(`${pool.url}/export_raw_vdi?${query}`)).arrayBuffer());
  expect(exported.equals(Buffer.alloc(6 * MIB))).toBe(true);
  await client.call('VDI.destroy', vdi);
  expect(await pool.inventory()).toEqual(before);
});

it('refuses sizes that no VHD has, types that are no disk’s, and SRs that nobody has attached', async () => {
  await using world = await aPool({ vms: 0 });
  const { pool, client } = world;
  const { ref, uuid } = srOf(pool, 'NFS shared storage');
  const fails = (size: number, more = {}) => client.fails('VDI.create', vdiRecord(ref, size, more));
  expect((await fails(2_088_960 * MIB + 1))[0]).toBe('SR_BACKEND_FAILURE_79');
  expect(await fails(MIB, { type: 'cbt_metadata' })).toEqual(['VDI_INCOMPATIBLE_TYPE', '', 'cbt_metadata']);
  expect((await fails(MIB, { type: 'floppy' }))[0]).toBe('INTERNAL_ERROR');
  for (const host of pool.hosts) await pool.setPbdPlugged(host.uuid, uuid, false);
  expect(await fails(MIB)).toEqual(['SR_HAS_NO_PBDS', ref]);
});

it('needs room for the whole disk at once on LVM, and says what is left', async () => {
  const { world, pool, client, lvm, local } = await withLvm();
  await using _ = world;
  await pool.fillSr(lvm.uuid, 100 * MIB);
  await pool.fillSr(local.uuid, 100 * MIB);
  const tooLarge = await client.fails('VDI.create', vdiRecord(lvm.ref, 100 * MIB));
  expect(tooLarge).toEqual(['SR_BACKEND_FAILURE_44', '', 'There is insufficient space', '']);
  const thin = await client.call('VDI.create', vdiRecord(local.ref, 100 * MIB));
  const vdi = await client.call('VDI.create', vdiRecord(lvm.ref, 64 * MIB));
  const free = async (sr: string) => {
    const { physical_size, physical_utilisation } = pool.record('SR', sr);
    return (Number(physical_size) - Number(physical_utilisation)) / MIB;
  };
  // The VHD's own tables have room for the largest disk.
  expect(await free(lvm.ref)).toBe(28);
  expect(await free(local.ref)).toBeGreaterThan(99);
  await client.call('SR.scan', lvm.ref);
  expect(pool.record('VDI', String(vdi)).physical_utilisation).toBe(String(72 * MIB));
  await client.call('VDI.destroy', vdi);
  await client.call('VDI.destroy', thin);
  expect(await free(lvm.ref)).toBe(100);
  expect(await free(local.ref)).toBe(100);
  await pool.fillSr(local.uuid, true);
  expect((await client.fails('VDI.create', vdiRecord(local.ref, MIB)))[0]).toBe('SR_BACKEND_FAILURE_78');
  // Nobody has told xapi yet.
  expect(await free(local.ref)).toBe(100);
  await client.call('SR.scan', local.ref);
  expect(await free(local.ref)).toBe(0);
});

it('gives out raw volumes that read as what was there before', async () => {
  const { world, pool, client, lvm } = await withLvm();
  await using _ = world;
  const vdi = await client.call('VDI.create', vdiRecord(lvm.ref, 5 * MIB, { sm_config: { type: 'raw' } }));
  expect(await client.call('VDI.get_virtual_size', vdi)).toBe(String(8 * MIB));
  const query = `session_id=${client.session}&vdi=${await client.call('VDI.get_uuid', vdi)}&format=raw`;
  const exported = Buffer.from(await (await fetch(`${pool.url}/export_raw_vdi?${query}`)).arrayBuffer());
  expect(exported.length).toBe(8 * MIB);
  expect(exported.equals(Buffer.alloc(8 * MIB))).toBe(false);
  expect((await client.fails('VDI.snapshot', vdi, {}))[0]).toBe('UNIMPLEMENTED_IN_SM_BACKEND');
  await client.call('VDI.destroy', vdi);
});

it('makes QCOW2 where the SR does, or the caller asks for it', async () => {
  await using world = await aPool({ vms: 0 });
  const { pool, client } = world;
  const { ref, uuid } = srOf(pool, 'Local storage');
  const create = (sm_config = {}) => client.call('VDI.create', vdiRecord(ref, 2 * MIB, { sm_config }));
  const configOf = async (vdi: unknown) => client.call('VDI.get_sm_config', vdi);
  expect(await configOf(await create({ 'image-format': 'qcow2' }))).toEqual({ 'image-format': 'qcow2' });
  pool.setNewDisks(uuid, 'qcow2');
  expect(await configOf(await create())).toEqual({ 'image-format': 'qcow2' });
});
