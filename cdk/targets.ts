import { isIP } from 'node:net';
import { containsCidr, mergeCidr } from 'cidr-tools';
import { ConfigurationError, type Settings } from './config.ts';

/** Addresses that the functions reach outside AWS, and the port. */
export interface Target {
  readonly cidr: string;
  readonly port: number;
  /** What is there, in words that a rule of a security group takes. */
  readonly what: string;
}

/**
 * The pools, Glance and Keystone, in as few prefixes as let out to these addresses and to no other. Throws a
 * ConfigurationError for a host name without `cidr`, and for an address that its own `cidr` does not hold.
 */
export function targetsOf({ pools, glance }: Settings): readonly Target[] {
  const all = [
    ...pools.flatMap(({ name, addresses, cidr }, index) =>
      addresses.flatMap((address) => targets(address, cidr, `pool ${name}`, `pools.${index}`)),
    ),
    ...targets(glance.url, glance.cidr, 'Glance', 'glance'),
    ...(glance.keystone
      ? targets(glance.keystone.url, glance.keystone.cidr, 'Keystone', 'glance.keystone')
      : []),
  ];
  const byPort = Map.groupBy(all, ({ port }) => port);
  return [...byPort].flatMap(([port, some]) =>
    mergeCidr(some.map(({ cidr }) => cidr)).map((cidr) => {
      const within = some.filter((target) => containsCidr(cidr, target.cidr)).map(({ what }) => what);
      return { cidr, port, what: inWords([...new Set(within)]) };
    }),
  );
}

/** Rules of a security group that one family of addresses may have more than one of its kind for. */
const FAMILIES = [
  ['IPv4', (cidr: string) => !cidr.includes(':')],
  ['IPv6', (cidr: string) => cidr.includes(':')],
] as const;
/** Rules for AWS's own services: the endpoints made here, the endpoints that were there, and DynamoDB. */
const FOR_SERVICES = 3;

/**
 * Refuses more targets than a security group takes, which AWS would only say in the middle of a deployment. AWS counts
 * IPv4 and IPv6 apart, and what names a group or a prefix list for both. Throws a ConfigurationError.
 */
export function refuseTooMany(targets: readonly Target[], { network: { egressRules } }: Settings): void {
  for (const [family, isOf] of FAMILIES) {
    const wanted = targets.filter(({ cidr }) => isOf(cidr)).length;
    if (wanted + FOR_SERVICES <= egressRules) continue;
    throw new ConfigurationError(
      `The configuration is wrong. pools: their addresses need ${wanted} outbound rules for ${family}, and ${FOR_SERVICES} are for AWS's services, but a security group takes ${egressRules}. Give pools with scattered addresses the network that they are in, such as "cidr": "10.20.0.0/24"; or have AWS raise the quota "Inbound or outbound rules per security group" and write it into network.egressRules.`,
    );
  }
}

/** Refuses a target within the VPC that is to be made, which would look for it in itself. Throws a ConfigurationError. */
export function refuseWithin(vpcCidr: string, targets: readonly Target[]): void {
  for (const { cidr, what } of targets)
    if (containsCidr(vpcCidr, cidr))
      throw new ConfigurationError(
        `The configuration is wrong. network.new.cidr: ${what} is at ${cidr}, within ${vpcCidr}; the functions could not reach it`,
      );
}

function targets(
  address: string,
  cidrs: readonly string[] | undefined,
  what: string,
  field: string,
): Target[] {
  const url = new URL(address);
  const port = Number(url.port) || (url.protocol === 'http:' ? 80 : 443);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const version = isIP(host);
  const own = `${host}/${version === 4 ? 32 : 128}`;
  if (cidrs === undefined && version !== 0) return [{ cidr: own, port, what }];
  if (cidrs === undefined)
    throw new ConfigurationError(
      `The configuration is wrong. ${field}.cidr: "${host}" is a name; say which addresses it may have, such as 10.0.0.0/24`,
    );
  if (version !== 0 && !containsCidr([...cidrs], own))
    throw new ConfigurationError(
      `The configuration is wrong. ${field}.cidr: ${host} is not in ${cidrs.join(' or ')}; the functions could not reach it`,
    );
  return cidrs.map((cidr) => ({ cidr, port, what }));
}

/** AWS takes 255 characters. */
const NAMED = 3;

function inWords(names: readonly string[]): string {
  const more = names.length - NAMED;
  return [...names.slice(0, NAMED), ...(more > 0 ? [`${more} more`] : [])].join(', ');
}
