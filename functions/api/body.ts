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

const JSON_TYPE = /^application\/json *(; *charset="?utf-8"? *)?$/i;

/**
 * Refuses bodies that do not say they are JSON, in the words of the API that is asked. Without asking anybody, a page of
 * another origin has a browser send text, forms and bodies without a type, but no JSON.
 * @param also a further type, of the API's own
 */
export function jsonAlone(refuse: (c: Context) => Response, also?: string): MiddlewareHandler {
  return async (c, next) => {
    const type = c.req.header('content-type') ?? '';
    return !hasBody(c) || JSON_TYPE.test(type) || type === also ? next() : refuse(c);
  };
}

/** HTTP/1.1 says so in a header, and of the methods that do nothing here it does not matter. */
function hasBody({ req }: Context): boolean {
  if (req.method === 'GET' || req.method === 'HEAD') return false;
  return (req.header('content-length') ?? '0') !== '0' || req.header('transfer-encoding') !== undefined;
}
