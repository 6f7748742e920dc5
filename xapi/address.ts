import { isIPv6 } from 'node:net';

/**
 * A pool member's address as it was configured: a URL, or a bare name for https.
 * @throws TypeError when it is no http or https URL, or holds credentials
 */
export function memberAddress(text: string): URL {
  const withScheme = text.includes('://') ? text : `https://${bracketed(text)}`;
  const url = URL.parse(withScheme);
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw new TypeError(`not the http or https address of a pool member: ${JSON.stringify(text)}`);
  if (url.username !== '' || url.password !== '')
    throw new TypeError('a pool member’s address must not hold a user name or a password');
  return url;
}

/**
 * Where the master is, by the parameter of HOST_IS_SLAVE: a bare address (IPv6 without brackets), reached by the
 * member's scheme and port; a simulated pool, whose hosts share one address, gives the port or a URL with it. The
 * scheme is always the member's, so that no answer can talk a client out of TLS. Undefined when it is no address.
 */
export function masterAddress(text: string, member: URL): URL | undefined {
  const named = URL.parse(text.includes('://') ? text : `${member.protocol}//${bracketed(text)}`);
  if (text === '' || named === null || named.hostname === '') return undefined;
  const master = new URL(member.origin);
  master.hostname = named.hostname;
  if (named.port !== '') master.port = named.port;
  return master;
}

function bracketed(host: string): string {
  return isIPv6(host) ? `[${host}]` : host;
}
