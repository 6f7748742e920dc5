import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { localClock } from '../../local/clock.ts';
import { type SimulatedPool, startPool } from '../../local/pool/pool.ts';
import { askRestore, restored } from '../support/restoring.ts';
import { PLUGIN_FILE, POOL_NAME, poolOf, scenario } from '../support/scenario.ts';

/** Another pool, with nothing in it. */
async function secondPool(): Promise<SimulatedPool> {
  const dataDir = await mkdtemp(join(tmpdir(), 'xensnap-second-'));
  onTestFinished(() => rm(dataDir, { recursive: true, force: true, maxRetries: 5 }));
  const clock = localClock(5);
  const pool = await startPool({ dataDir, pluginFile: PLUGIN_FILE, clock, vms: 0, guestWrites: false });
  onTestFinished(() => pool.close());
  return pool;
}

/** Addresses of the VMs in a pool, of which none is there but what was restored. */
async function macsIn(pool: SimulatedPool): Promise<string[]> {
  return (await pool.inventory()).vms.flatMap(({ vifs }) => vifs.map((vif) => vif.split(' ')[1] ?? ''));
}

it.each([
  ['that the image has', (nic: { mac?: string }) => nic],
  ['that xapi makes of the seed in the image', ({ mac: _, ...nic }: { mac?: string }) => nic],
])('gives two that are restored into two pools at once no address twice %s', async (_what, changed) => {
  const second = await secondPool();
  const { pool, glance, service, request, job } = await scenario({
    pool: { vms: 0 },
    vms: [
      { name: 'web-1', diskMib: 2, powerState: 'Halted', nics: [{}, {}], otherConfig: { mac_seed: 'seed' } },
    ],
    service: (servers) => ({ pools: [poolOf(servers.pool), { ...poolOf(second), name: 'second' }] }),
    leaves: 'unknown',
  });
  const image = await request('web-1', { format: 'raw' });
  await job(image);
  const edited = JSON.parse(glance.images()[0]?.properties.xensnap_vm_config ?? '{}');
  edited.nics = edited.nics.map(changed);
  await fetch(`${glance.url}/v2/images/${image}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/openstack-images-v2.1-json-patch' },
    body: JSON.stringify([{ op: 'replace', path: '/xensnap_vm_config', value: JSON.stringify(edited) }]),
  });
  for (const each of [pool, second])
    await service.runtime.withSession(each === pool ? POOL_NAME : 'second', async (xapi) => {
      for (const vif of Object.keys(await xapi.call('VIF.get_all_records_where', 'true')))
        await xapi.call('VIF.destroy', vif as never);
    });
  // Neither has made its interfaces when the other looks whether its addresses are in use.
  for (const each of [pool, second]) each.faults.add({ method: 'VM.create', delaySeconds: 3, times: 1 });
  const ids = await Promise.all([askRestore(service, image), askRestore(service, image, { pool: 'second' })]);
  const jobs = await Promise.all(ids.map((id) => restored(service, id)));
  expect(jobs.map(({ status }) => status)).toEqual(['succeeded', 'succeeded']);
  const macs = [...(await macsIn(pool)), ...(await macsIn(second))];
  expect(macs).toHaveLength(4);
  expect(new Set(macs).size).toBe(4);
});
