import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { NULL_REF } from '../database/value.ts';
import { installPlugin } from '../dom0.ts';
import type { PoolOptions } from '../simulated-pool.ts';
import type { PoolState } from '../state.ts';
import { addVm, type VmSpec } from './add-vm.ts';
import { buildHost, buildSr } from './hosts.ts';
import { buildManagementNetwork, buildNetwork } from './network.ts';
import { newVm } from './vm.ts';

const BUILDERS = 8;
const MANY = 50;
const DEMO_NAMES = ['web', 'db', 'cache', 'mail', 'build', 'files'];

/** The hosts, their SRs, the network and the templates that every pool has. */
export async function buildPool(pool: PoolState, options: PoolOptions, roots: string): Promise<void> {
  const { db } = pool;
  for (let index = 0; index < (options.hosts ?? 2); index += 1) {
    const host = await buildHost(
      pool,
      `xen${index + 1}`,
      join(roots, String(index + 1)),
      options.hostMemoryGib,
    );
    if (options.pluginFile !== undefined) await installPlugin(host.dom0Root, options.pluginFile);
    await buildSr(pool, { name: 'Local storage', type: 'ext', hosts: [host] });
  }
  buildManagementNetwork(pool);
  for (const network of options.networks ?? []) buildNetwork(pool, network);
  const shared = await buildSr(pool, { name: 'NFS shared storage', type: 'nfs', hosts: pool.hosts });
  db.create('pool', {
    name_label: 'demo',
    master: pool.hosts[0]?.ref ?? NULL_REF,
    default_SR: shared,
    restrictions: { restrict_vtpm: 'false' },
  });
  for (const name of ['Other install media', 'Debian Bookworm 12', 'Windows Server 2022 (64-bit)']) {
    newVm(pool, {
      name_label: name,
      is_a_template: true,
      is_default_template: true,
      other_config: { default_template: 'true', mac_seed: randomUUID() },
    });
  }
}

/** Demo VMs, in turn on every host, on its local SR and on the shared one. */
export async function buildDemoVms(pool: PoolState, options: PoolOptions): Promise<void> {
  const specs = Array.from({ length: options.vms ?? 6 }, (_, index) => demoVm(pool, options, index));
  const build = async (): Promise<void> => {
    for (let spec = specs.shift(); spec; spec = specs.shift()) await addVm(pool, spec);
  };
  await Promise.all(Array.from({ length: BUILDERS }, build));
}

function demoVm({ hosts }: PoolState, { vms = 6, diskMib = 64 }: PoolOptions, index: number): VmSpec {
  const host = hosts[index % hosts.length]?.uuid;
  return {
    name: `${DEMO_NAMES[index % DEMO_NAMES.length]}-${Math.floor(index / DEMO_NAMES.length) + 1}`,
    sr: Math.floor(index / hosts.length) % 2 === 0 ? 'local' : 'nfs',
    diskMib,
    ...(host !== undefined && { host }),
    // Big pools are for counting calls, not bytes.
    ...(vms > MANY && { dataMib: 0 }),
  };
}
