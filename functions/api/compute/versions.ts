import { type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { serve } from '../documented.ts';
import { faults } from '../faults.ts';
import { NOVA } from './faults.ts';
import { baseUrl, COMPUTE_PATH, Link } from './links.ts';
import { MICROVERSION } from './microversion.ts';

export const ApiVersion = z
  .object({
    id: z.string().openapi({ example: 'v2.1' }),
    status: z.enum(['CURRENT', 'SUPPORTED', 'DEPRECATED']),
    version: z.string().openapi({ description: 'The highest microversion.' }),
    min_version: z.string(),
    updated: z.iso.datetime(),
    links: z.array(Link),
  })
  .openapi('ApiVersion');

export type ApiVersion = z.infer<typeof ApiVersion>;

/** An API that clients know, as the list of versions names it. */
export interface KnownVersion extends Omit<ApiVersion, 'links'> {
  readonly path: string;
}

export const COMPUTE_VERSION: KnownVersion = {
  id: 'v2.1',
  status: 'CURRENT',
  version: MICROVERSION,
  min_version: MICROVERSION,
  updated: '2013-07-23T11:33:21Z',
  path: COMPUTE_PATH,
};

/**
 * The version as its own document and the list have it. Its link has no slash at its end, as Nova's has: API Gateway
 * takes no route that ends in one, so that it would ask whoever follows the link to log in. Clients take either.
 */
export function versionView({ path, ...version }: KnownVersion, c: Context): ApiVersion {
  return { ...version, links: [{ rel: 'self', href: `${baseUrl(c)}${path}` }] };
}

/** `GET /`: the versions of the APIs that clients know, for those that begin at the service's own URL. */
export function routeVersions(app: OpenAPIHono, versions: readonly KnownVersion[]): void {
  serve(
    app,
    {
      method: 'get',
      path: '/',
      operationId: 'listApiVersions',
      tags: ['Compute v2.1'],
      summary: 'Lists the versions of the OpenStack and Rackspace APIs',
      responses: {
        200: {
          description: 'To everybody.',
          content: { 'application/json': { schema: z.object({ versions: z.array(ApiVersion) }) } },
        },
      },
    },
    (c) => c.json({ versions: versions.map((version) => versionView(version, c)) }),
  );
}

const SHOWN = {
  'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.compute+json;version=2.1' }],
};

/** `GET /v2.1`, with which clients begin, before they log in. */
export function routeVersion(app: OpenAPIHono): void {
  serve(
    app,
    {
      method: 'get',
      path: '/',
      operationId: 'getComputeVersion',
      tags: ['Compute v2.1'],
      summary: 'Tells the microversions: 2.1 and no other',
      responses: {
        200: {
          description: 'To everybody.',
          content: {
            'application/json': {
              schema: z.object({
                version: ApiVersion.extend({
                  'media-types': z.array(z.object({ base: z.string(), type: z.string() })),
                }),
              }),
            },
          },
        },
        ...faults(NOVA, 400, 406),
      },
    },
    (c) => c.json({ version: { ...versionView(COMPUTE_VERSION, c), ...SHOWN } }),
  );
}
