import { expect, it } from 'vitest';
import { tagsOf } from '../../functions/pool/tags.ts';
import type { VmSpec } from '../../local/pool/pool.ts';
import { logIn, type TestClient } from '../local/pool/client.ts';
import { type Scenario, scenario } from '../support/scenario.ts';

/** A VM on an SR that has no files, so that xapi exports its disk. */
const exported: VmSpec = { name: 'vm', sr: 'lvm', diskMib: 16, dataMib: 8 };

/** Does something in the pool as an operator would. */
async function asOperator<T>({ pool }: Scenario, use: (xapi: TestClient) => Promise<T>): Promise<T> {
  const xapi = await logIn(pool.url, pool.username, pool.password);
  try {
    return await use(xapi);
  } finally {
    await xapi.call('session.logout');
  }
}

/** Attaches a disk in the first host's control domain. */
async function attach(at: Scenario, xapi: TestClient, vdi: unknown): Promise<unknown> {
  const vbd = await xapi.call('VBD.create', {
    ...{ VM: await xapi.call('host.get_control_domain', at.pool.hosts[0]?.ref), VDI: vdi, mode: 'RO' },
    ...{ userdevice: 'autodetect', bootable: false, type: 'Disk', unpluggable: true, empty: false },
    ...{ other_config: {}, qos_algorithm_type: '', qos_algorithm_params: {} },
  });
  await xapi.call('VBD.plug', vbd);
  return vbd;
}

/** The disk of a snapshot that has no template any more, attached in a control domain. */
async function loneDisk(at: Scenario, xapi: TestClient) {
  const template = await xapi.call('VM.snapshot', at.pool.vm('vm').ref, 'lone');
  const [vbd] = (await xapi.call('VM.get_VBDs', template)) as unknown[];
  const vdi = await xapi.call('VBD.get_VDI', vbd);
  await xapi.call('VM.destroy', template);
  const uuid = String(await xapi.call('VDI.get_uuid', vdi));
  return { vdi, uuid, vbd: await attach(at, xapi, vdi) };
}

it('destroys a snapshot that a control domain kept attached when xapi was restarted in the export', async () => {
  const at = await scenario({
    vms: [exported],
    pool: { vms: 0, tapdiskCloseSeconds: 1 },
    service: { timings: { uploadRetrySeconds: 1 } },
  });
  const { pool, glance } = at;
  const goOn = Promise.withResolvers<void>();
  glance.faults.add({ method: 'PUT', path: /\/file$/, afterBytes: 1000, hold: goOn.promise, times: 1 });
  const id = await at.request('vm');
  while ((await pool.inventory()).attached.length === 0) await at.clock.sleep(1);
  await asOperator(at, async (xapi) => {
    const domain = await xapi.call('host.get_control_domain', pool.hosts[0]?.ref);
    const [vbd] = (await xapi.call('VM.get_VBDs', domain)) as unknown[];
    // While xapi reads it.
    expect((await xapi.fails('VBD.unplug', vbd))[0]).toBe('SR_BACKEND_FAILURE_1200');
  });
  await pool.restartXapi();
  goOn.resolve();
  const job = await at.job(id);
  expect(job.debts).toBeUndefined();
  expect(pool.calls.map(({ method }) => method)).toContain('VBD.unplug');
  expect((await pool.inventory()).attached).toEqual([]);
});

it('destroys what an export of a closed job left attached, and touches nobody else’s', async () => {
  const at = await scenario({ vms: [exported], pool: { vms: 0 } });
  const { id } = await at.job(await at.request('vm'));
  const before = await at.pool.inventory();
  const { store, config } = at.service.runtime;
  const { ours, others } = await asOperator(at, async (xapi) => {
    const made = { ours: await loneDisk(at, xapi), others: await loneDisk(at, xapi) };
    for (const [key, value] of Object.entries(tagsOf(id, config.installation)))
      await xapi.call('VDI.add_to_other_config', made.ours.vdi, key, value);
    return made;
  });
  await store.jobs.record(id, { snapshotDisks: [ours.uuid] });
  const { findings } = await at.service.janitor();
  expect(findings).toMatchObject([
    { kind: 'snapshot', id: ours.uuid, action: 'removed', what: expect.stringContaining('is attached in "') },
  ]);
  expect((await at.pool.inventory()).attached).toEqual([others.uuid]);
  await asOperator(at, async (xapi) => {
    await xapi.call('VBD.unplug', others.vbd);
    await xapi.call('VDI.destroy', others.vdi);
  });
  expect(await at.pool.inventory()).toEqual(before);
});

it('leaves attached what a job that read files cannot have attached, and names the disk', async () => {
  const at = await scenario({ vms: [{ ...exported, sr: 'nfs' }], pool: { vms: 0 } });
  const { id } = await at.job(await at.request('vm'));
  const { store, config } = at.service.runtime;
  const disk = await asOperator(at, async (xapi) => {
    const made = await loneDisk(at, xapi);
    for (const [key, value] of Object.entries(tagsOf(id, config.installation)))
      await xapi.call('VDI.add_to_other_config', made.vdi, key, value);
    return made;
  });
  await store.jobs.record(id, { snapshotDisks: [disk.uuid] });
  expect((await at.service.janitor()).findings).toMatchObject([
    { id: disk.uuid, action: 'failed', what: expect.stringContaining('VDI_IN_USE') },
  ]);
  expect((await at.pool.inventory()).attached).toEqual([disk.uuid]);
  await asOperator(at, (xapi) => xapi.call('VBD.unplug', disk.vbd));
  expect((await at.service.janitor()).findings).toMatchObject([{ id: disk.uuid, action: 'removed' }]);
});
