import type { Host, PoolState } from '../state.ts';
import { newMac } from './vm.ts';

/** A network beside the one for management, which every pool has. */
export interface NetworkSpec {
  readonly name: string;
  /** Its tag on the cable of the management network; without one it has no PIF, and joins VMs of one host only. */
  readonly vlan?: number;
  /** Names or UUIDs of the hosts that have a PIF on it; all if left out. */
  readonly hosts?: readonly string[];
}

const UNTAGGED = -1;

/** The network of eth0, with the PIF of each host that its management uses. */
export function buildManagementNetwork(pool: PoolState): string {
  const { db } = pool;
  const network = db.create('network', {
    name_label: 'Pool-wide network associated with eth0',
    bridge: 'xenbr0',
    MTU: '1500',
    managed: true,
  });
  for (const host of pool.hosts) newPif(pool, { host, network, vlan: UNTAGGED });
  return network;
}

/** Adds a network, with a PIF on each of its hosts if it has a tag. */
export function buildNetwork(pool: PoolState, { name, vlan, hosts }: NetworkSpec): string {
  const network = pool.db.create('network', {
    name_label: name,
    bridge: `xapi${pool.db.refs('network').length}`,
    MTU: '1500',
    managed: true,
  });
  const isOn = (host: Host): boolean => hosts?.some((each) => [host.name, host.uuid].includes(each)) ?? true;
  if (vlan !== undefined) for (const host of pool.hosts.filter(isOn)) newPif(pool, { host, network, vlan });
  return network;
}

function newPif(
  { db }: PoolState,
  { host, network, vlan }: { host: Host; network: string; vlan: number },
): void {
  const isManagement = vlan === UNTAGGED;
  db.create('PIF', {
    device: 'eth0',
    network,
    host: host.ref,
    MAC: newMac(),
    MTU: '1500',
    VLAN: String(vlan),
    physical: isManagement,
    management: isManagement,
    currently_attached: true,
    managed: true,
    ip_configuration_mode: isManagement ? 'Static' : 'None',
    ipv6_configuration_mode: 'None',
    primary_address_type: 'IPv4',
    igmp_snooping_status: 'unknown',
    ...(isManagement && { IP: '127.0.0.1', netmask: '255.0.0.0' }),
  });
}
