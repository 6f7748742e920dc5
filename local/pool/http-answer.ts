import type { IncomingMessage, ServerResponse } from 'node:http';

export const COMMON_HEADERS = {
  'cache-control': 'no-cache, no-store',
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Headers': 'X-Requested-With',
};

export function send(response: ServerResponse, body: string, contentType: string): void {
  response.writeHead(200, {
    'content-length': Buffer.byteLength(body),
    'content-type': contentType,
    ...COMMON_HEADERS,
  });
  response.end(body);
}

export function page(title: string): string {
  return `<html><body><h1>${title}</h1></body></html>`;
}

/** An HTML page and the end of the connection. */
export function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  title: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = page(title);
  response.writeHead(status, {
    'content-length': Buffer.byteLength(body),
    'content-type': 'text/html',
    connection: 'close',
    ...COMMON_HEADERS,
    ...headers,
  });
  response.end(body, () => request.socket.destroySoon());
}
