/** Whom a listener on this machine refuses before it looks at what is asked. */
export interface Refusal {
  readonly status: 403 | 421;
  readonly message: string;
}

/** One of a request's headers. */
type Header = (name: string) => string | null | undefined;

/**
 * The `Host`s under which a listener on 127.0.0.1 is asked.
 * @param more others, each as the header has it, where something stands before it that has a name of its own
 */
export function ownHosts(port: number, more: readonly string[] = []): ReadonlySet<string> {
  const names = ['127.0.0.1', 'localhost', '[::1]'];
  const own = names.flatMap((name) => [`${name}:${port}`, ...(port === 80 ? [name] : [])]);
  return new Set([...own, ...more.map((host) => host.toLowerCase())]);
}

/**
 * Why a request is refused that a web page has a browser of this machine send: under a name that was made to lead here
 * (DNS rebinding), or from a page of another origin. Undefined for all others; who asks is another matter.
 */
export function refusalOf(hosts: ReadonlySet<string>, method: string, header: Header): Refusal | undefined {
  if (!hosts.has((header('host') ?? '').toLowerCase()))
    return { status: 421, message: `Nothing is served here under that Host; ask ${[...hosts][0]}.` };
  const foreign = { status: 403, message: 'Pages of other origins may not ask this.' } as const;
  const origin = header('origin');
  if (origin && !hosts.has(/^https?:\/\/(.+)$/.exec(origin)?.[1] ?? '')) return foreign;
  // Its answer would say who may; nobody may.
  if (method === 'OPTIONS' && header('access-control-request-method')) return foreign;
  const site = header('sec-fetch-site') ?? 'none';
  const isVisit = method === 'GET' && header('sec-fetch-dest') === 'document';
  return site === 'none' || site === 'same-origin' || isVisit ? undefined : foreign;
}
