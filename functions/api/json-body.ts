import type { Context } from 'hono';
import { Fault } from './faults.ts';

/**
 * A body as Nova and its forebears read it: JSON whatever the Content-Type, unless that says something else.
 * @param also a further type, of the API's own
 * @throws Fault 415, and 400 for what is no JSON
 */
export async function jsonBody(c: Context, also?: string): Promise<unknown> {
  const type = c.req.header('content-type')?.split(';')[0]?.trim().toLowerCase() ?? '';
  if (!['', 'text/plain', 'application/json', also].includes(type))
    throw new Fault(415, 'Unsupported Content-Type: this API speaks application/json only.');
  try {
    return JSON.parse(await c.req.text());
  } catch (cause) {
    throw new Fault(400, 'Malformed request body', { cause });
  }
}
