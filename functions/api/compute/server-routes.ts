import { type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { mapBounded } from '../../bounded.ts';
import type { Runtime } from '../../runtime/executions.ts';
import { type Caller, callerOf } from '../caller.ts';
import { serve } from '../documented.ts';
import { faults } from '../faults.ts';
import { NOVA } from './faults.ts';
import { Link } from './links.ts';
import { pageOf } from './paging.ts';
import { filterOf, refuseUnkept, ServerQuery, sortedBy } from './server-query.ts';
import { ServerEntry, ServerView, serverEntry, serverView } from './server-view.ts';
import { findServer, jobOn, type Server, serversOf } from './servers.ts';

/** Leases and jobs read at a time. */
const READS_AT_ONCE = 16;

const TAGS = ['Compute v2.1'];
function page<T extends z.ZodType>(server: T) {
  return {
    description: 'The newest first. A parameter of Nova that is not named here is refused with 400.',
    content: {
      'application/json': {
        schema: z.object({ servers: z.array(server), servers_links: z.array(Link).optional() }),
      },
    },
  };
}

/** The caller's VMs as servers. */
export function routeServers(app: OpenAPIHono, runtime: Runtime): void {
  type View = (server: Server, caller: Caller) => unknown;

  async function list(c: Context, view: View): Promise<Response> {
    const caller = callerOf(c, runtime.config);
    refuseUnkept(c, caller);
    const servers = sortedBy(c, await serversOf(runtime, caller));
    const { items, links } = pageOf(c, servers, filterOf(c, servers));
    return c.json({
      servers: await mapBounded(items, READS_AT_ONCE, async (server) => view(server, caller)),
      ...(links.length > 0 && { servers_links: links }),
    });
  }

  const detailed =
    (c: Context): View =>
    async (server, caller) =>
      serverView(c, caller, server, await jobOn(server, runtime));

  const refusals = faults(NOVA, 400, 401, 403, 406, 500, 501, 503);
  serve(
    app,
    {
      method: 'get',
      path: '/servers',
      operationId: 'listComputeServers',
      tags: TAGS,
      summary: 'Lists the VMs of every pool as servers',
      request: { query: ServerQuery },
      responses: { 200: page(ServerEntry), ...refusals },
    },
    (c) => list(c, (server) => serverEntry(c, server)),
  );
  serve(
    app,
    {
      method: 'get',
      path: '/servers/detail',
      operationId: 'listComputeServersDetail',
      tags: TAGS,
      summary: 'Lists the VMs of every pool as servers, with all that is known of them',
      request: { query: ServerQuery },
      responses: { 200: page(ServerView), ...refusals },
    },
    (c) => list(c, detailed(c)),
  );
  serve(
    app,
    {
      method: 'get',
      path: '/servers/{id}',
      operationId: 'getComputeServer',
      tags: TAGS,
      summary: 'Tells all that is known of a server',
      request: {
        params: z.object({
          id: z.string().openapi({ description: "The VM's UUID, or Nova's where Nova made the VM." }),
        }),
      },
      responses: {
        200: {
          description: 'The server.',
          content: { 'application/json': { schema: z.object({ server: ServerView }) } },
        },
        ...refusals,
        ...faults(NOVA, 404),
      },
    },
    async (c) => {
      const caller = callerOf(c, runtime.config);
      const server = await findServer(runtime, caller, c.req.param('id') ?? '');
      return c.json({ server: await detailed(c)(server, caller) });
    },
  );
}
