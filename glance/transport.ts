import { Agent, buildConnector } from 'undici';
import { GlanceCertificateMismatch, GlanceUnauthorized, GlanceUnavailable } from './errors.ts';
import { pinnedConnector } from './pinning.ts';

/** How the client reaches its Glance. */
export interface TransportOptions {
  /** the endpoint without a trailing slash and without `/v2` */
  endpoint: string;
  token: () => Promise<string | undefined>;
  ca?: string | undefined;
  fingerprint?: string | undefined;
  timeoutSeconds: number;
}

/** One request, with a path that starts at the endpoint. */
export interface Call {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  path: string;
  contentType?: string;
  body?: unknown;
}

export interface Answer {
  status: number;
  body: string;
  url: string;
  withToken: boolean;
}

export interface Transport {
  /**
   * Sends once; any status is an answer.
   * @throws GlanceUnavailable when there is no connection or no complete answer in time
   * @throws GlanceCertificateMismatch when the pinned certificate is not the server's
   */
  send(call: Call): Promise<Answer>;
  close(): Promise<void>;
}

/** Keep-alive connections over undici. */
export function createTransport(options: TransportOptions): Transport {
  const { endpoint, ca, fingerprint, timeoutSeconds } = options;
  const timeout = timeoutSeconds * 1000;
  const connect = fingerprint
    ? pinnedConnector(fingerprint, timeout)
    : buildConnector({ timeout, ...(ca && { ca }) });
  const agent = new Agent({ connect, headersTimeout: timeout, bodyTimeout: timeout });
  const target = new URL(endpoint);
  const prefix = target.pathname.replace(/\/$/, '');

  return {
    async send({ method, path, contentType, body }) {
      const url = `${endpoint}${path}`;
      const token = await options.token();
      if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
        throw new GlanceUnauthorized(
          `The token for Glance at ${endpoint} cannot stand in a header: look at its file`,
        );
      }
      try {
        const response = await agent.request({
          origin: target.origin,
          path: `${prefix}${path}`,
          method,
          headers: {
            accept: 'application/json',
            ...(token !== undefined && { 'x-auth-token': token }),
            ...(body !== undefined && { 'content-type': contentType ?? 'application/json' }),
          },
          body: body === undefined ? null : JSON.stringify(body),
          signal: AbortSignal.timeout(timeout),
        });
        const { statusCode: status } = response;
        return { status, body: await response.body.text(), url, withToken: token !== undefined };
      } catch (cause) {
        if (cause instanceof GlanceCertificateMismatch) throw cause;
        throw new GlanceUnavailable(
          `Glance at ${endpoint} did not answer ${method} ${path}: ${reason(cause)}`,
          { cause },
        );
      }
    },
    close: () => agent.close(),
  };
}

function reason(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined;
  return cause.message || code || cause.name;
}
