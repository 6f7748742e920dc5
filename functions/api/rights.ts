import type { MiddlewareHandler } from 'hono';
import { XensnapError } from '../errors.ts';
import type { BaseRuntime } from '../runtime/base.ts';
import { callerOf, ofAuthorizer } from './caller.ts';

/** A token still counts for so long after its end, in case our clock is ahead of Keystone's. */
const SKEW_MS = 60_000;

/** Whether a token that ends then is over. */
export function isOver(expiresAt: Date, now: Date): boolean {
  return now.getTime() > expiresAt.getTime() + SKEW_MS;
}

/**
 * Stands before each of the three APIs, and refuses in that API's words: a token that is over by now, although API
 * Gateway remembers that it was let in; and whoever may only read, but for reading.
 * @throws Unauthorized, Forbidden
 */
export function rights({ config, clock }: Pick<BaseRuntime, 'config' | 'clock'>): MiddlewareHandler {
  return async (c, next) => {
    const { expiresAt } = ofAuthorizer(c) ?? {};
    if (expiresAt !== undefined && isOver(new Date(expiresAt), clock.now()))
      throw new XensnapError('Unauthorized', 'The token is over: get a new one.');
    const { method } = c.req;
    if (method !== 'GET' && method !== 'HEAD' && callerOf(c, config).role === 'reader')
      throw new XensnapError(
        'Forbidden',
        'Your role in this project may read only. Whoever is to do this needs a role that the setting `roles` calls ' +
          '"member" or "admin".',
      );
    return next();
  };
}
