import type { OpenAPIHono } from '@hono/zod-openapi';
import type { NotFoundHandler } from 'hono';
import { problem } from './problem.ts';

/** Answers what no route took: 405 with the methods that the path knows, or 404. */
export function unroutedHandler(app: OpenAPIHono): NotFoundHandler {
  return (c) => {
    const { path, method } = c.req;
    const allowed = app.routes
      .filter((route) => route.method !== 'ALL' && patternOf(route.path).test(path))
      .flatMap((route) => (route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]));
    if (allowed.length === 0)
      return problem(
        c,
        'NotFound',
        `There is no ${path.slice(0, 200)} here; GET /openapi.json says what there is.`,
      );
    const allow = [...new Set(allowed)].sort().join(', ');
    c.header('Allow', allow);
    return problem(c, 'MethodNotAllowed', `${path} does not know ${method}; it knows ${allow}.`);
  };
}

function patternOf(routePath: string): RegExp {
  const escaped = routePath.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll(/:[A-Za-z]+/g, '[^/]+')}$`);
}
