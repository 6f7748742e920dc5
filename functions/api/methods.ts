import type { Hono, NotFoundHandler } from 'hono';
import { shorten } from '../../glance/shorten.ts';
import { problem } from './problem.ts';

/** Answers what no route took: 405 with the methods that the path knows, or 404. */
export function unroutedHandler(app: Pick<Hono, 'routes'>): NotFoundHandler {
  return (c) => {
    const { path, method } = c.req;
    const allow = methodsOf(app, path);
    if (allow === undefined)
      return problem(
        c,
        'NotFound',
        `There is no ${shorten(path, 200)} here; GET /openapi.json says what there is.`,
      );
    c.header('Allow', allow);
    return problem(
      c,
      'MethodNotAllowed',
      `${shorten(path, 200)} does not know ${method}; it knows ${allow}.`,
    );
  };
}

/** The methods that an app's path knows, as the header `Allow` names them; undefined where it knows no such path. */
export function methodsOf({ routes }: Pick<Hono, 'routes'>, path: string): string | undefined {
  const allowed = routes
    .filter((route) => route.method !== 'ALL' && fits(route.path, path))
    .flatMap((route) => (route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]));
  return allowed.length === 0 ? undefined : [...new Set(allowed)].sort().join(', ');
}

/** Whether a path is one of a route's, in which `:name` stands for any one segment. */
function fits(routePath: string, path: string): boolean {
  const [segments, asked] = [routePath.split('/'), path.split('/')];
  return (
    segments.length === asked.length &&
    segments.every((segment, at) => (segment.startsWith(':') ? asked[at] !== '' : segment === asked[at]))
  );
}
