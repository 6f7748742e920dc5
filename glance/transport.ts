import { Agent } from 'undici';
import { Deadline } from '../http/deadline.ts';
import { AGENT_LIMITS, exchange, NoAnswer } from '../http/exchange.ts';
import { type Authority, vouchedConnector } from './authority.ts';
import { GlanceCertificateMismatch, GlanceUnauthorized, GlanceUnavailable } from './errors.ts';
import { pinnedConnector } from './pinning.ts';
import { hide } from './plaintext.ts';

/** How the client reaches its Glance, or the Keystone that gives it tokens. */
export interface TransportOptions {
  /** who is asked, for errors; Glance if not given */
  service?: string;
  /** the endpoint without a trailing slash and without `/v2` */
  endpoint: string;
  token: () => Promise<string | undefined>;
  ca?: Authority | undefined;
  fingerprint?: string | undefined;
  timeoutSeconds: number;
  /** the most that is taken of an answer whose call says nothing else */
  maxBytes: number;
}

/** One request, with a path that starts at the endpoint. */
export interface Call {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  path: string;
  contentType?: string;
  body?: unknown;
  /** beside those that every request has */
  headers?: Record<string, string>;
  /** the most that is taken of its answer */
  maxBytes?: number;
  /** what a refusal may quote of the request and an error must not; the token is hidden anyway */
  secrets?: readonly string[];
}

export interface Answer {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: string;
  url: string;
  withToken: boolean;
}

export interface Transport {
  /**
   * Sends once; any status is an answer.
   * @throws GlanceUnavailable when there is no connection, no complete answer in time, or a larger one than is taken
   * @throws GlanceCertificateMismatch when the pinned certificate is not the server's
   */
  send(call: Call): Promise<Answer>;
  close(): Promise<void>;
}

/** Keep-alive connections over undici. */
export function createTransport(options: TransportOptions): Transport {
  const { endpoint, ca, fingerprint, timeoutSeconds, service = 'Glance' } = options;
  const timeout = timeoutSeconds * 1000;
  const connect = fingerprint
    ? pinnedConnector(fingerprint, timeout, service)
    : vouchedConnector(ca, timeout);
  const agent = new Agent({ ...AGENT_LIMITS, connect });
  const target = new URL(endpoint);
  const prefix = target.pathname.replace(/\/$/, '');

  return {
    async send({
      method,
      path,
      contentType,
      body,
      headers: more,
      secrets = [],
      maxBytes = options.maxBytes,
    }) {
      const url = `${endpoint}${path}`;
      const token = await options.token();
      if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
        throw new GlanceUnauthorized(
          `The token for ${service} at ${endpoint} cannot stand in a header: look at its file`,
        );
      }
      try {
        const answer = await exchange(agent, {
          origin: target.origin,
          path: `${prefix}${path}`,
          method,
          headers: {
            accept: 'application/json',
            ...(token !== undefined && { 'x-auth-token': token }),
            ...(body !== undefined && { 'content-type': contentType ?? 'application/json' }),
            ...more,
          },
          body: body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
          deadline: new Deadline(timeoutSeconds),
          maxBytes,
        });
        const { status, headers } = answer;
        const { text } = answer.body;
        const shown =
          status >= 300 ? hide(text, [...secrets, ...(token === undefined ? [] : [token])]) : text;
        return { status, headers, body: shown, url, withToken: token !== undefined };
      } catch (error) {
        const cause = error instanceof NoAnswer ? error.cause : error;
        if (cause instanceof GlanceCertificateMismatch) throw cause;
        throw new GlanceUnavailable(
          `${service} at ${endpoint} did not answer ${method} ${path}: ${reason(cause)}`,
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
