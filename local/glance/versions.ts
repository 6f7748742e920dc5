const SUPPORTED = [
  'v2.13',
  'v2.12',
  'v2.11',
  'v2.10',
  'v2.9',
  'v2.8',
  'v2.7',
  'v2.6',
  'v2.5',
  'v2.4',
  'v2.3',
  'v2.2',
  'v2.1',
  'v2.0',
];

/** The version list of Zed's Glance; clients take the base of every other URL from the `self` link. */
export function versionList(baseUrl: string): unknown {
  const version = (id: string, status: string) => ({
    id,
    status,
    links: [{ rel: 'self', href: `${baseUrl}/v2/` }],
  });
  return { versions: [version('v2.15', 'CURRENT'), ...SUPPORTED.map((id) => version(id, 'SUPPORTED'))] };
}
