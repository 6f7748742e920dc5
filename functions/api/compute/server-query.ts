import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { type Caller, confinedTo } from '../caller.ts';
import { Fault } from '../faults.ts';
import { flavorOf } from './flavor.ts';
import { namesThatFit } from './name-filter.ts';
import { isTrue, last, PageQuery, refuseOtherParameters, wrongParameter } from './query.ts';
import { createdAt, type Server } from './servers.ts';
import { STATES } from './states.ts';

/**
 * Nova's parameters that can be kept to here. Every other one is refused: a list that is longer than was asked for is
 * what somebody's script would image. `host` is among those: a server that is off is on none here, but stays on its
 * host in Nova.
 */
export const ServerQuery = z.object({
  ...PageQuery,
  name: z.string().optional().openapi({ description: 'A regular expression, found anywhere in the name.' }),
  status: z
    .string()
    .optional()
    .openapi({ description: 'ACTIVE, PAUSED, SHUTOFF or SUSPENDED; may be repeated.', example: 'ACTIVE' }),
  uuid: z.string().optional(),
  flavor: z.string().optional(),
  availability_zone: z.string().optional().openapi({ description: 'The pool.' }),
  all_tenants: z.string().optional().openapi({
    description: "Changes nothing for those who see all servers; refused to those confined to a project's.",
  }),
  deleted: z.string().optional().openapi({ description: 'Only false: there are no deleted servers.' }),
  sort_key: z.string().optional().openapi({
    description: '`created_at`, `display_name` or `uuid`; may be repeated.',
    default: 'created_at',
  }),
  sort_dir: z.string().optional().openapi({ description: '`asc` or `desc`.', default: 'desc' }),
});

/** @throws Fault 400 for a parameter that is not kept to, 403 for other projects' servers */
export function refuseUnkept(c: Context, caller: Caller): void {
  refuseOtherParameters(c, ServerQuery.shape);
  if (isTrue(c, 'deleted'))
    throw wrongParameter('deleted', last(c, 'deleted'), 'There are no deleted servers');
  // Nova's words (policies/servers.py). A parameter without a value is as good as true, as in its is_all_tenants.
  if (confinedTo(caller) && (last(c, 'all_tenants') === '' || isTrue(c, 'all_tenants')))
    throw new Fault(
      403,
      "Policy doesn't allow os_compute_api:servers:detail:get_all_tenants to be performed.",
    );
}

/** Which servers the query is for. A status that there is not fits no server, as at Nova's 2.1. */
export function filterOf(c: Context, servers: readonly Server[]): (server: Server) => boolean {
  const name = last(c, 'name');
  const names =
    name === undefined
      ? undefined
      : namesThatFit(
          name,
          servers.map(({ vm }) => vm.name_label),
        );
  const statuses = c.req.queries('status')?.map((status) => status.toUpperCase());
  const uuid = last(c, 'uuid')?.toLowerCase();
  const flavor = last(c, 'flavor');
  const pool = last(c, 'availability_zone');
  return (server) =>
    (names?.has(server.vm.name_label) ?? true) &&
    (statuses?.includes(STATES[server.vm.power_state].status) ?? true) &&
    (uuid === undefined || server.id.toLowerCase() === uuid) &&
    (flavor === undefined || flavorOf(server).id === flavor) &&
    (pool === undefined || server.pool === pool);
}

const SORTED_BY: Readonly<Record<string, (server: Server) => string>> = {
  created_at: (server) => createdAt(server).toISOString(),
  display_name: ({ vm }) => vm.name_label,
  uuid: ({ id }) => id,
};

/** The servers as the query sorts them; as they are, the newest first, where it says nothing. */
export function sortedBy(c: Context, servers: readonly Server[]): readonly Server[] {
  const directions = (c.req.queries('sort_dir') ?? []).map((direction) => {
    if (direction === 'asc' || direction === 'desc') return direction;
    throw wrongParameter('sort_dir', direction, 'It must be asc or desc');
  });
  const keys = (c.req.queries('sort_key') ?? (directions.length > 0 ? ['created_at'] : [])).map(
    (key, index) => {
      const read = Object.hasOwn(SORTED_BY, key) ? SORTED_BY[key] : undefined;
      if (!read)
        throw wrongParameter('sort_key', key, `It must be one of ${Object.keys(SORTED_BY).join(', ')}`);
      const sign = (directions[index] ?? directions[0] ?? 'desc') === 'asc' ? 1 : -1;
      return { read, sign };
    },
  );
  return servers.toSorted((a, b) => {
    for (const { read, sign } of keys) {
      const [ofA, ofB] = [read(a), read(b)];
      if (ofA !== ofB) return ofA < ofB ? -sign : sign;
    }
    return 0;
  });
}
