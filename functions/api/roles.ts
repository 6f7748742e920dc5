import type { Config } from '../config.ts';

/** From the least to the most: a `reader` may look, a `member` also take images, schedule and delete. */
const ROLES = ['reader', 'member', 'admin'] as const;

/** What a caller may do. What is a project's own stays its own, whatever role it is that a caller has in it. */
export type Role = (typeof ROLES)[number];

/**
 * The highest that the names of a Keystone token make; undefined when they make none. Names are compared as OpenStack's
 * own services do it, without regard to case (oslo.policy's RoleCheck).
 */
export function roleOf(names: readonly string[], roles: Config['roles']): Role | undefined {
  const held = new Set(names.map((name) => name.toLowerCase()));
  return ROLES.findLast((role) => roles[role].some((name) => held.has(name.toLowerCase())));
}
