import { type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { shorten } from '../../../glance/shorten.ts';
import type { Runtime } from '../../runtime/executions.ts';
import { callerOf } from '../caller.ts';
import { serve } from '../documented.ts';
import { Fault, faults } from '../faults.ts';
import { NOVA } from './faults.ts';
import { type Flavor, FlavorEntry, FlavorView, flavorEntry, flavorOf, flavorView } from './flavor.ts';
import { Link } from './links.ts';
import { pageOf } from './paging.ts';
import { isTrue, last, PageQuery, refuseOtherParameters, wholeNumber } from './query.ts';
import { serversOf } from './servers.ts';

const TAGS = ['Compute v2.1'];
const query = z.object({
  ...PageQuery,
  minRam: z.string().optional().openapi({ type: 'integer', minimum: 0, description: 'MiB.' }),
  minDisk: z.string().optional().openapi({ type: 'integer', minimum: 0, description: 'GiB.' }),
  is_public: z.string().optional().openapi({ description: 'All are public: none fits false.' }),
});

/** How clients ask for both (_parse_is_public in nova/api/openstack/compute/flavors.py). */
const PUBLIC_OR_NOT = /^none$/i;

function page<T extends z.ZodType>(flavor: T) {
  return {
    description: 'By id.',
    content: {
      'application/json': {
        schema: z.object({ flavors: z.array(flavor), flavors_links: z.array(Link).optional() }),
      },
    },
  };
}

/** The sizes of the caller's VMs. */
export function routeFlavors(app: OpenAPIHono, runtime: Runtime): void {
  async function flavorsFor(c: Context): Promise<Flavor[]> {
    const servers = await serversOf(runtime, callerOf(c, runtime.config));
    const byId = new Map(servers.map((server) => flavorOf(server)).map((flavor) => [flavor.id, flavor]));
    return [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  async function list<T>(c: Context, view: (c: Context, flavor: Flavor) => T): Promise<Response> {
    refuseOtherParameters(c, query.shape);
    const isPublic = PUBLIC_OR_NOT.test(last(c, 'is_public') ?? 'none') || isTrue(c, 'is_public');
    const minRam = wholeNumber(c, 'minRam') ?? 0;
    const minDisk = wholeNumber(c, 'minDisk') ?? 0;
    const fits = ({ ramMib, diskGib }: Flavor) => isPublic && ramMib >= minRam && diskGib >= minDisk;
    const { items, links } = pageOf(c, await flavorsFor(c), fits);
    return c.json({
      flavors: items.map((flavor) => view(c, flavor)),
      ...(links.length > 0 && { flavors_links: links }),
    });
  }

  const refusals = faults(NOVA, 400, 401, 403, 406, 500, 501, 503);
  serve(
    app,
    {
      method: 'get',
      path: '/flavors',
      operationId: 'listComputeFlavors',
      tags: TAGS,
      summary: 'Lists the sizes that the VMs have',
      request: { query },
      responses: { 200: page(FlavorEntry), ...refusals },
    },
    (c) => list(c, flavorEntry),
  );
  serve(
    app,
    {
      method: 'get',
      path: '/flavors/detail',
      operationId: 'listComputeFlavorsDetail',
      tags: TAGS,
      summary: 'Lists the sizes that the VMs have, with what they are',
      request: { query },
      responses: { 200: page(FlavorView), ...refusals },
    },
    (c) => list(c, flavorView),
  );
  async function flavorFor(c: Context): Promise<Flavor> {
    const id = c.req.param('id') ?? '';
    const flavor = (await flavorsFor(c)).find((each) => each.id === id);
    if (flavor) return flavor;
    throw new Fault(404, `Flavor ${shorten(id, 60)} could not be found.`);
  }

  const params = z.object({ id: z.string() });
  serve(
    app,
    {
      method: 'get',
      path: '/flavors/{id}',
      operationId: 'getComputeFlavor',
      tags: TAGS,
      summary: 'Tells what a size is',
      request: { params },
      responses: {
        200: {
          description: 'The flavor.',
          content: { 'application/json': { schema: z.object({ flavor: FlavorView }) } },
        },
        ...refusals,
        ...faults(NOVA, 404),
      },
    },
    async (c) => c.json({ flavor: flavorView(c, await flavorFor(c)) }),
  );
  // openstackclient asks for it when it lists or shows flavors.
  serve(
    app,
    {
      method: 'get',
      path: '/flavors/{id}/os-extra_specs',
      operationId: 'getComputeFlavorExtraSpecs',
      tags: TAGS,
      summary: 'Tells that there is no more to say of a size',
      request: { params },
      responses: {
        200: {
          description: 'None.',
          content: { 'application/json': { schema: z.object({ extra_specs: z.object({}) }) } },
        },
        ...refusals,
        ...faults(NOVA, 404),
      },
    },
    async (c) => {
      await flavorFor(c);
      return c.json({ extra_specs: {} });
    },
  );
}
