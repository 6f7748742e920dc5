import type { OpenAPIHono, RouteConfig } from '@hono/zod-openapi';
import type { Handler } from 'hono';

/**
 * Serves an operation of the OpenAPI document with a handler that reads the request by itself, where the rules of
 * the API that it follows are not those of a schema: such as a number that may be a string.
 */
export function serve(app: OpenAPIHono, route: RouteConfig, handler: Handler): void {
  app.openAPIRegistry.registerPath(route);
  app.on(route.method.toUpperCase(), route.path.replaceAll(/\{(\w+)\}/g, ':$1'), handler);
}
