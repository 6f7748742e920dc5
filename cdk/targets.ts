import { isIP } from 'node:net';
import { ConfigurationError, type Settings } from './config.ts';

/** Addresses that the functions reach outside AWS, and the port. */
export interface Target {
  readonly cidr: string;
  readonly port: number;
  readonly what: string;
}

/** The pools, Glance and Keystone. Throws a ConfigurationError for a host name without `cidr`. */
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
  return [...new Map(all.map((target) => [`${target.cidr} ${target.port}`, target])).values()];
}

function targets(
  address: string,
  cidrs: readonly string[] | undefined,
  what: string,
  field: string,
): Target[] {
  const url = new URL(address);
  const port = Number(url.port) || (url.protocol === 'http:' ? 80 : 443);
  if (cidrs !== undefined) return cidrs.map((cidr) => ({ cidr, port, what }));
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const version = isIP(host);
  if (version !== 0) return [{ cidr: `${host}/${version === 4 ? 32 : 128}`, port, what }];
  throw new ConfigurationError(
    `The configuration is wrong. ${field}.cidr: "${host}" is a name; say which addresses it may have, such as 10.0.0.0/24`,
  );
}
