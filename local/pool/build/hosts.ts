import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setPlugged } from '../classes/pbd.ts';
import { enterPowerState } from '../classes/vm.ts';
import { makeDom0 } from '../dom0.ts';
import { Lock } from '../lock.ts';
import { SR_TYPES, type SrType } from '../sm/types.ts';
import type { Host, PoolState } from '../state.ts';
import { newVm } from './vm.ts';

const GIB = 1024 ** 3;

/** Adds a host with its control domain; the first is the master. */
export async function buildHost(
  pool: PoolState,
  name: string,
  dom0Root: string,
  memoryGib = 64,
): Promise<Host> {
  const { db, clock } = pool;
  const { release } = pool.settings;
  const uuid = randomUUID();
  const metrics = db.create('host_metrics', {
    memory_total: String(memoryGib * GIB),
    memory_free: String((memoryGib / 2) * GIB),
    live: true,
    last_updated: clock.now(),
  });
  const ref = db.create('host', {
    uuid,
    name_label: name,
    name_description: 'Default install',
    hostname: name,
    enabled: true,
    metrics,
    API_version_major: '2',
    API_version_minor: release.apiMinor,
    API_version_vendor: 'XenSource',
    software_version: {
      product_brand: release.brand,
      product_version: release.version,
      platform_version: release.platform,
      xapi: release.xapi,
    },
    capabilities: ['xen-3.0-x86_64', 'hvm-3.0-x86_64'],
    edition: release.edition,
    cpu_info: { cpu_count: '32', socket_count: '2', vendor: 'AuthenticAMD' },
    display: 'enabled',
    power_on_mode: '',
    other_config: { iscsi_iqn: `iqn.2026-11.local.${name}` },
  });
  const host: Host = {
    ...{ ref, uuid, name, dom0Root, isMaster: pool.hosts.length === 0 },
    ...{ listeners: [], power: new AbortController(), hang: undefined },
  };
  pool.hosts.push(host);
  const controlDomain = newVm(pool, {
    name_label: `Control domain on host: ${name}`,
    name_description: 'The domain which manages physical devices and manages other domains',
    is_control_domain: true,
    withoutAgent: true,
    affinity: ref,
  });
  const controlDomainUuid = db.text('VM', controlDomain, 'uuid');
  await makeDom0(dom0Root, { hostUuid: uuid, controlDomainUuid });
  enterPowerState(pool, controlDomain, 'Running', ref);
  pool.guests.delete(controlDomain);
  db.set('VM', controlDomain, 'domid', '0');
  db.set('host', ref, 'control_domain', controlDomain);
  return host;
}

/** Adds an SR that the given hosts have attached. */
export async function buildSr(
  pool: PoolState,
  sr: { name: string; type: SrType; hosts: readonly Host[] },
): Promise<string> {
  const { db } = pool;
  const uuid = randomUUID();
  const { shared, device } = SR_TYPES[sr.type];
  const folder = join(pool.dataDir, 'sr', uuid);
  await mkdir(folder, { recursive: true });
  const ref = db.create('SR', {
    uuid,
    name_label: sr.name,
    type: sr.type,
    content_type: 'user',
    shared,
    physical_size: String(1024 * GIB),
    allowed_operations: [
      ...(sr.type === 'rawhba' ? [] : ['vdi_snapshot', 'vdi_clone']),
      'unplug',
      'plug',
      'pbd_create',
      'update',
      'pbd_destroy',
      'vdi_resize',
      'scan',
      'vdi_mirror',
      'vdi_create',
      'vdi_destroy',
    ],
    // As the LVM drivers note it themselves, since they make VHDs.
    sm_config: sr.type.startsWith('lvm') ? { allocation: 'thick', use_vhd: 'true' } : {},
    other_config: sr.type === 'ext' ? { 'i18n-key': 'local-storage' } : {},
  });
  pool.storage.set(ref, {
    ref,
    uuid,
    type: sr.type,
    folder,
    freeBytes: Number.POSITIVE_INFINITY,
    newDisks: 'vhd',
    failsSnapshotHalfWay: false,
    collector: undefined,
    qcow2: new Set(),
    chains: new Lock(),
    disks: new Map(),
    paused: new Map(),
  });
  for (const host of sr.hosts) {
    const pbd = db.create('PBD', { host: host.ref, SR: ref, device_config: { ...device } });
    await setPlugged(pool, pbd, true);
  }
  return ref;
}
