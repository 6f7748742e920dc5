import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';

/** What a handler gives back; `file` is sent from disk, from byte `start` to byte `end`, both included. */
export interface Answer {
  status: number;
  headers?: Record<string, string>;
  json?: unknown;
  text?: string;
  file?: { path: string; start: number; end: number };
}

/** An answer that Glance gives by raising it: status and one sentence. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly status: number;
  readonly headers: Record<string, string>;
  constructor(status: number, detail: string, headers: Record<string, string> = {}) {
    super(detail);
    this.status = status;
    this.headers = headers;
  }
}

// Python's names where they differ from Node's (webob.exc).
const titles: Record<number, string> = {
  413: 'Request Entity Too Large',
  416: 'Request Range Not Satisfiable',
};

/** Status line text as Glance writes it. */
export function titleOf(status: number): string {
  return titles[status] ?? STATUS_CODES[status] ?? 'Unknown';
}

/**
 * The body of a refusal, in the dialect that webob picks by Accept: JSON and HTML when asked for (curl's `*\/*`
 * means HTML), text for a client that sends no Accept at all.
 */
export function refusalAnswer({ status, message, headers }: Refused, accept: string | undefined): Answer {
  const title = `${status} ${titleOf(status)}`;
  if (accept?.includes('application/json')) {
    return {
      status,
      headers,
      json: { message: `${message}<br /><br />\n\n\n`, code: title, title: titleOf(status) },
    };
  }
  if (accept && /\*\/\*|text\/\*|text\/html/.test(accept)) {
    const page = `<html>\n <head>\n  <title>${title}</title>\n </head>\n <body>\n  <h1>${title}</h1>\n  ${escapeHtml(message)}<br /><br />\n\n\n\n </body>\n</html>`;
    return { status, headers: { 'Content-Type': 'text/html; charset=UTF-8', ...headers }, text: page };
  }
  const text = `${title}\n\n${message}\n\n   `;
  return { status, headers: { 'Content-Type': 'text/plain; charset=UTF-8', ...headers }, text };
}

/** Headers that every answer of the v2 API carries. */
export function commonHeaders(): Record<string, string> {
  return { 'X-Openstack-Request-Id': `req-${randomUUID()}` };
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll("'", '&#x27;');
}
