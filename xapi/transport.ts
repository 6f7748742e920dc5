import { setImmediate as nextTurn } from 'node:timers/promises';
import { Agent } from 'undici';
import { AnswerTooLarge } from '../http/capped.ts';
import { CertificateMismatch, trustingConnector } from '../http/connector.ts';
import type { Deadline } from '../http/deadline.ts';
import { AGENT_LIMITS, exchange, NoAnswer } from '../http/exchange.ts';
import { reasonOf } from '../http/reason.ts';
import type { Trust } from '../http/trust.ts';
import { MAX_RECORDS_BYTES, maxAnswerBytes } from './limits.ts';
import {
  XapiCertificateMismatch,
  XapiProtocolError,
  XapiReplyLost,
  XapiRequestTooLarge,
  XapiUnreachable,
} from './transport-errors.ts';

/** `constants.ml`, http_limit_max_rpc_size. */
const MAX_REQUEST_BYTES = 300 * 1024;
/** Time until a dead member is given up and the next one is tried; a SYN is sent again after 1 and after 3 s. */
const MAX_CONNECT_SECONDS = 5;
/** Idle connections go before xapi, which waits 10 s for a header, can close one under a request. */
const IDLE_CONNECTION_SECONDS = 4;
/** Connections to one host, which accepts 800 from all its clients together. */
const MAX_CONNECTIONS = 20;

/** Sends XML to a pool's members and brings back XML; knows nothing of sessions or of what calls mean. */
export interface Transport {
  /**
   * Sends one POST, once.
   * @param method the call's name, for errors, and for how large its answer may be
   * @param deadline from waiting for a connection to the answer's end; who reads the answer goes on with it
   * @returns the answer's body, in pieces
   * @throws XapiRequestTooLarge, XapiCertificateMismatch, XapiUnreachable: never sent
   * @throws the signal's reason when it is aborted before anything was sent
   * @throws XapiReplyLost, also when aborted later; XapiProtocolError for another HTTP status than 200, and for more
   *   than `maxAnswerBytes`
   */
  post(address: URL, method: string, xml: string, deadline: Deadline): Promise<readonly Buffer[]>;
  /** Breaks all connections. */
  close(): Promise<void>;
}

/** @param recordsBytes the most that is taken of a class's records */
export function createTransport(trust: Trust, recordsBytes = MAX_RECORDS_BYTES): Transport {
  const agent = new Agent({
    ...AGENT_LIMITS,
    connect: trustingConnector(trust, MAX_CONNECT_SECONDS * 1000),
    connections: MAX_CONNECTIONS,
    pipelining: 1,
    keepAliveTimeout: IDLE_CONNECTION_SECONDS * 1000,
    keepAliveMaxTimeout: IDLE_CONNECTION_SECONDS * 1000,
  });
  return {
    async post(address, method, xml, deadline) {
      const body = Buffer.from(xml);
      if (body.length > MAX_REQUEST_BYTES)
        throw new XapiRequestTooLarge(method, body.length, MAX_REQUEST_BYTES);
      // undici frees a connection one turn after the answer; a call made at once would open another.
      await nextTurn();
      deadline.signal?.throwIfAborted();
      const headers = {
        'content-type': 'text/xml',
        'content-length': String(body.length),
        'user-agent': 'xensnap',
      };
      const { origin } = address;
      const answer = await exchange(agent, {
        ...{ origin, path: '/', method: 'POST', headers, body, deadline },
        maxBytes: maxAnswerBytes(method, recordsBytes),
      }).catch((error: unknown) => {
        throw failed(error, method, origin, deadline);
      });
      if (answer.status === 200) return answer.body.pieces;
      throw new XapiProtocolError(`${origin}: HTTP status ${answer.status} to ${method}, not xapi's 200`);
    },
    close: () => agent.destroy(),
  };
}

function failed(error: unknown, method: string, origin: string, { signal }: Deadline): unknown {
  if (error instanceof AnswerTooLarge)
    return new XapiProtocolError(`${origin}: the answer to ${method} has more than ${error.maxBytes} bytes`);
  if (!(error instanceof NoAnswer)) return error;
  const { sent, cause } = error;
  if (sent) return new XapiReplyLost(method, origin, cause);
  if (signal?.aborted) return cause;
  if (cause instanceof CertificateMismatch)
    return new XapiCertificateMismatch(`${origin}: ${cause.message}`, { cause });
  return new XapiUnreachable(`${origin}: ${reasonOf(cause)}`, { cause });
}
