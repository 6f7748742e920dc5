import { Agent } from 'undici';
import { CertificateMismatch, trustingConnector } from '../http/connector.ts';
import { Deadline } from '../http/deadline.ts';
import { AGENT_LIMITS, exchange, NoAnswer } from '../http/exchange.ts';
import { hide } from '../http/hide.ts';
import { reasonOf } from '../http/reason.ts';
import { type TrustOptions, trustOf } from '../http/trust.ts';
import {
  GlanceCertificateMismatch,
  GlanceUnauthorized,
  GlanceUnavailable,
  KeystoneCertificateMismatch,
  KeystoneUnavailable,
} from './errors.ts';

/** What either service's troubles on the way to it are called. */
const ERRORS = {
  Glance: { Unavailable: GlanceUnavailable, CertificateMismatch: GlanceCertificateMismatch },
  Keystone: { Unavailable: KeystoneUnavailable, CertificateMismatch: KeystoneCertificateMismatch },
} as const;

/** How the client reaches its Glance, or the Keystone that gives it tokens. */
export interface TransportOptions {
  /** who is asked, for errors */
  service: keyof typeof ERRORS;
  /** the endpoint without a trailing slash and without `/v2` */
  endpoint: string;
  token: () => Promise<string | undefined>;
  trust: TrustOptions;
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
   * @throws GlanceUnavailable or KeystoneUnavailable when there is no connection, no complete answer in time, or a larger
   * one than is taken
   * @throws GlanceCertificateMismatch or KeystoneCertificateMismatch when the server's certificate is not trusted
   */
  send(call: Call): Promise<Answer>;
  close(): Promise<void>;
}

/**
 * Keep-alive connections over undici.
 * @throws TypeError for what {@link trustOf} does not take
 */
export function createTransport(options: TransportOptions): Transport {
  const { endpoint, timeoutSeconds, service } = options;
  const target = new URL(endpoint);
  const connect = trustingConnector(trustOf(options.trust, target), timeoutSeconds * 1000);
  const agent = new Agent({ ...AGENT_LIMITS, connect });
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
        const { Unavailable, CertificateMismatch: Mismatch } = ERRORS[service];
        const where = `${service} at ${endpoint}`;
        if (cause instanceof CertificateMismatch) throw new Mismatch(`${where}: ${cause.message}`, { cause });
        throw new Unavailable(`${where} did not answer ${method} ${path}: ${reasonOf(cause)}`, { cause });
      }
    },
    close: () => agent.close(),
  };
}
