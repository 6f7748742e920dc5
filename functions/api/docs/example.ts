import { resolved, type Schema, type Schemas } from './schema.ts';

interface Asked {
  readonly path: string;
  readonly method: string;
  /** The body's schema, if the operation has a body. */
  readonly schema?: Schema | undefined;
}

/** How the operation is asked for from a shell, once `XENSNAP_API` and `TOKEN` are set there, and `ID` where it is needed. */
export function exampleOf({ path, method, schema }: Asked, schemas: Schemas): string {
  const body = schema && resolved(schema, schemas).example;
  return [
    `curl${method === 'get' ? '' : ` -X ${method.toUpperCase()}`} "$XENSNAP_API${path.replaceAll(/\{\w+\}/g, '$ID')}"`,
    '-H "X-Auth-Token: $TOKEN"',
    ...(body === undefined ? [] : ["-H 'Content-Type: application/json'", `-d '${JSON.stringify(body)}'`]),
  ].join(' \\\n  ');
}
