import type { HttpRequest } from './http-wire.ts';

const REASONS = {
  302: 'Found',
  401: 'Unauthorised',
  403: 'Forbidden',
  404: 'Not Found',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
  500: 'Internal Error',
  501: 'Method not implemented',
} as const;

const CACHE = 'cache-control: no-cache, no-store';

/** The answer to a call: the headers that xapi sends, in its order and no others (http_svr.ml, api_server.ml). */
export function send(request: HttpRequest, body: string, contentType: string): void {
  const lines = [
    `HTTP/${request.version} 200 OK`,
    `content-length: ${Buffer.byteLength(body)}`,
    `connection: ${request.close ? 'close' : 'keep-alive'}`,
    CACHE,
    `content-type: ${contentType}`,
    'Access-Control-Allow-Origin: *',
    'Access-Control-Allow-Headers: X-Requested-With',
  ];
  request.socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`);
}

export function page(title: string, text = ''): string {
  return `<html><body><h1>${title}</h1>${text}</body></html>`;
}

/** The page of an error inside xapi. */
export function internalError(error: string): string {
  const text =
    'An unexpected error occurred; please wait a while and try again. If the problem persists, please contact your ' +
    'support representative.';
  const escaped = error.replace(/[<>'"&]/g, (each) => ENTITIES[each] ?? each);
  return page('HTTP 500 internal server error', `${text}<h1> Additional information </h1>${escaped}`);
}

const ENTITIES: Record<string, string> = {
  '<': '&lt;',
  '>': '&gt;',
  "'": '&apos;',
  '"': '&quot;',
  '&': '&amp;',
};

/** An HTML page and the end of the connection. */
export function refuse(
  request: Pick<HttpRequest, 'socket' | 'version'>,
  status: keyof typeof REASONS,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const lines = [
    `HTTP/${request.version} ${status} ${REASONS[status]}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'content-type: text/html',
    'connection: close',
    CACHE,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  request.socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`, () => request.socket.destroySoon());
}
