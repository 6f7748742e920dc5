import type { Context, MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';

export const MOST_BODY_BYTES = 64 * 1024;

/** Refuses larger bodies, in the words of the API that is asked. */
export function limitBody(refuse: (c: Context, message: string) => Response): MiddlewareHandler {
  return bodyLimit({
    maxSize: MOST_BODY_BYTES,
    onError: (c) => refuse(c, `The body has more than ${MOST_BODY_BYTES} bytes.`),
  });
}
