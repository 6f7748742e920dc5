import type { Context, MiddlewareHandler } from 'hono';
import { XensnapError } from '../errors.ts';
import { COMPUTE_PATH } from './compute/links.ts';
import { RACKSPACE_PATH } from './rackspace/path.ts';

/** Tells by a request's headers whether who asks may. */
export type Knows = (headers: Headers) => boolean;

/** Paths that answer everybody, wherever the API is: the documents of versions, and whether jobs can run. */
export const OPEN_PATHS: readonly string[] = ['/', '/healthz', COMPUTE_PATH, RACKSPACE_PATH];

/** Where no gateway stands before the API, a browser reads these, which are the same for all and cannot send a token. */
const DOCUMENTS: readonly string[] = ['/docs', '/openapi.json'];

const OPEN = new Set([...OPEN_PATHS, ...DOCUMENTS]);

/**
 * Stands before each of the three APIs where API Gateway does not: answers 401, in that API's words, to everybody whom
 * `knows` does not know. Without it nobody is refused.
 */
export function gate(knows: Knows | undefined): MiddlewareHandler {
  return async (c, next) => {
    if (!knows || knows(c.req.raw.headers)) return next();
    const { method, path } = c.req;
    const isOpen = (method === 'GET' || method === 'HEAD') && OPEN.has(path.replace(/(.)\/$/, '$1'));
    c.set('stranger', true);
    if (isOpen) return next();
    c.header('WWW-Authenticate', 'Bearer');
    throw new XensnapError(
      'Unauthorized',
      'The token is missing, or not the one of this service: send it as "Authorization: Bearer" or as X-Auth-Token; ' +
        'the line "token" that the service prints at its start names the file that holds it.',
    );
  };
}

/** Whether somebody asks, on one of the open paths, whom the {@link gate} does not know. */
export function isStranger(c: Context): boolean {
  return c.get('stranger') === true;
}
