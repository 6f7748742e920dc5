import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';

/** Where the Compute API is, below the service's own URL. */
export const COMPUTE_PATH = '/v2.1';

export const Link = z.object({ rel: z.string(), href: z.string(), type: z.string().optional() });
export type Link = z.infer<typeof Link>;

/** The service's URL as the caller has it, without a slash at its end. */
export function baseUrl(c: Context): string {
  return new URL(c.req.url).origin;
}

/** The links of a server or flavor: with the API's version, and the bookmark without. */
export function linksOf(c: Context, collection: 'servers' | 'flavors', id: string): Link[] {
  const path = `${collection}/${encodeURIComponent(id)}`;
  return [
    { rel: 'self', href: `${baseUrl(c)}${COMPUTE_PATH}/${path}` },
    { rel: 'bookmark', href: `${baseUrl(c)}/${path}` },
  ];
}
