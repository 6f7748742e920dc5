import type { Context } from 'hono';
import { Fault, type FaultStyle, fault } from './faults.ts';

/** A body, parsed. @throws Fault 400 when it is not JSON */
export async function jsonBody(c: Context): Promise<unknown> {
  try {
    return JSON.parse(await c.req.text());
  } catch (cause) {
    throw new Fault(400, 'Malformed request body', { cause });
  }
}

/** Refuses a body that is something else, for {@link jsonAlone}. */
export function noJson(style: FaultStyle): (c: Context) => Response {
  return (c) => fault(style, c, 415, 'Unsupported Content-Type: this API speaks application/json only.');
}
