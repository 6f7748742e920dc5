import { X509Certificate } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { GlanceServer, GlanceServerOptions } from '../../local/glance/server.ts';
import type { PoolOptions, SimulatedPool } from '../../local/pool/pool.ts';
import type { LocalService } from '../../local/service.ts';

/** The plugin as it is installed in every simulated dom0. */
export const PLUGIN_FILE = fileURLToPath(new URL('../../plugin/glance', import.meta.url));
export const POOL_NAME = 'demo';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever the API says
  readonly body: any;
}

/** A simulated pool as the service's configuration names it. */
export function poolOf(pool: SimulatedPool, slotsPerHost?: number) {
  return {
    name: POOL_NAME,
    addresses: [pool.url, ...pool.memberUrls],
    username: pool.username,
    password: pool.password,
    ...(slotsPerHost !== undefined && { slotsPerHost }),
  };
}

/** Over TLS a pool is known by the certificate that it shows, as members sign for themselves. */
export function pinned(tls: PoolOptions['tls']) {
  return tls && { fingerprints: [new X509Certificate(tls.cert).fingerprint256] };
}

/** The embedded Glance as the service's configuration names it. */
export function glanceOf({ url }: GlanceServer, { token, tls }: Partial<GlanceServerOptions> = {}) {
  return { url, ...(token !== undefined && { token }), ...(tls && { ca: tls.cert }) };
}

/** Sends a request to a service's API, with its token. */
export async function askApi(
  { apiUrl, token }: Pick<LocalService, 'apiUrl' | 'token'>,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(`${apiUrl}${path}`, {
    method,
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: text === '' ? undefined : JSON.parse(text),
  };
}
