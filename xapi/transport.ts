import { setImmediate as nextTurn } from 'node:timers/promises';
import { Agent, type Dispatcher } from 'undici';
import {
  reasonOf,
  XapiCertificateMismatch,
  XapiProtocolError,
  XapiReplyLost,
  XapiRequestTooLarge,
  XapiUnreachable,
} from './transport-errors.ts';
import { type Trust, trustingConnector } from './trust.ts';

/** `constants.ml`, http_limit_max_rpc_size. */
const maxRequestBytes = 300 * 1024;
/** The records of some 10,000 VMs: what is more is no answer to anything that we ask. */
const maxAnswerBytes = 128 * 1024 * 1024;
/** A dead member makes place for the next within this; a SYN is sent again after 1 and after 3 s. */
const maxConnectSeconds = 5;
/** Idle connections go before xapi, which waits 10 s for a header, can close one under a request. */
const idleConnectionSeconds = 4;
/** Of one host, which takes 800 from everybody. */
const maxConnections = 20;

/** How long one request may take, and what ends it before. */
export interface Limit {
  readonly seconds: number;
  readonly signal?: AbortSignal | undefined;
}

/** Sends XML to a pool's members and brings back XML; knows nothing of sessions or of what calls mean. */
export interface Transport {
  /**
   * Sends one POST, once.
   * @param method the call's name, for errors
   * @param limit.seconds the most that it may take, from waiting for a connection to the answer's end
   * @throws XapiRequestTooLarge, XapiCertificateMismatch, XapiUnreachable: never sent
   * @throws the signal's reason when it is aborted before anything was sent
   * @throws XapiReplyLost, also when aborted later; XapiProtocolError for another HTTP status than 200, and for more
   *   than `maxAnswerBytes`
   */
  post(address: URL, method: string, xml: string, limit: Limit): Promise<Buffer>;
  /** Breaks all connections. */
  close(): Promise<void>;
}

/** @param maxBytes of an answer; for tests */
export function createTransport(trust: Trust, maxBytes = maxAnswerBytes): Transport {
  const agent = new Agent({
    connect: trustingConnector(trust, maxConnectSeconds * 1000),
    connections: maxConnections,
    pipelining: 1,
    keepAliveTimeout: idleConnectionSeconds * 1000,
    keepAliveMaxTimeout: idleConnectionSeconds * 1000,
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  return {
    async post(address, method, xml, { seconds, signal }) {
      const body = Buffer.from(xml);
      if (body.length > maxRequestBytes) throw new XapiRequestTooLarge(method, body.length, maxRequestBytes);
      // undici frees a connection one turn after the answer; a call made at once would open another.
      await nextTurn();
      signal?.throwIfAborted();
      const request = { address, method, body, signal, timeoutSeconds: seconds, maxBytes };
      const answer = await exchange(agent, request);
      if (answer.status === 200) return answer.body;
      throw new XapiProtocolError(
        `${address.origin}: HTTP status ${answer.status} to ${method}, not xapi's 200`,
      );
    },
    close: () => agent.destroy(),
  };
}

interface Request {
  readonly address: URL;
  readonly method: string;
  readonly body: Buffer;
  readonly signal: AbortSignal | undefined;
  readonly timeoutSeconds: number;
  readonly maxBytes: number;
}

interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

/**
 * One request through undici's dispatch, its lowest level, for the one thing that the others do not tell: whether the
 * request went out (`onRequestStart`) before it failed. undici does not send a POST again; should it ever try, the
 * second start is refused.
 */
function exchange(agent: Agent, request: Request): Promise<Answer> {
  const { address, method, body, signal, timeoutSeconds, maxBytes } = request;
  return new Promise((resolve, reject) => {
    let sent: Dispatcher.DispatchController | undefined;
    let status = 0;
    let settled = false;
    let received = 0;
    const chunks: Buffer[] = [];

    const settle = (outcome: () => void) => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      outcome();
    };
    const fail = (cause: unknown) =>
      settle(() => {
        if (sent) reject(new XapiReplyLost(method, address.origin, cause));
        else if (signal?.aborted || cause instanceof XapiCertificateMismatch) reject(cause);
        else reject(new XapiUnreachable(`${address.origin}: ${reasonOf(cause)}`, { cause }));
      });
    const giveUp = (cause: Error) => {
      fail(cause);
      sent?.abort(cause);
    };
    const onAbort = () => giveUp(signal?.reason);
    const timer = setTimeout(
      () => giveUp(new Error(`nothing heard within ${Number(timeoutSeconds.toFixed(1))} s`)),
      timeoutSeconds * 1000,
    );
    signal?.addEventListener('abort', onAbort, { once: true });

    const headers = {
      'content-type': 'text/xml',
      'content-length': String(body.length),
      'user-agent': 'xensnap',
    };
    agent.dispatch(
      { origin: address.origin, path: '/', method: 'POST', headers, body },
      {
        onRequestStart(controller) {
          if (settled || sent) return controller.abort(new Error('not to be sent'));
          sent = controller;
        },
        onResponseStart(_, statusCode) {
          status = statusCode;
        },
        onResponseData(controller, chunk) {
          received += chunk.length;
          if (received <= maxBytes) return void chunks.push(chunk);
          const much = `${address.origin}: the answer to ${method} has more than ${maxBytes} bytes`;
          const error = new XapiProtocolError(much);
          settle(() => reject(error));
          controller.abort(error);
        },
        onResponseEnd: () => settle(() => resolve({ status, body: Buffer.concat(chunks) })),
        onResponseError: (_, error) => fail(error),
      },
    );
  });
}
