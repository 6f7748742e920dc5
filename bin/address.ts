/** Whether a service at `url` runs on this machine. */
export function isLocal({ hostname }: URL): boolean {
  return /^(127\.\d+\.\d+\.\d+|localhost|\[::1\])$/.test(hostname);
}

/** The region that the host name of an API Gateway holds; undefined for any other host. */
export function executeApiRegion({ hostname }: URL): string | undefined {
  return /\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$/.exec(hostname)?.[1];
}

/**
 * The URL with every octet of its query escaped that is not unreserved in RFC 3986. It says the same; but a
 * signature of the query is for this form alone, and what takes `+` for a space on one side may not on the other.
 */
export function withStrictQuery(url: URL): URL {
  const strict = new URL(url);
  strict.search = [...url.searchParams].map((pair) => pair.map(escaped).join('=')).join('&');
  return strict;
}

function escaped(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
