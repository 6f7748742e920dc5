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
const maxConnectSeconds = 10;
/** Idle connections go before xapi, which waits 10 s for a header, can close one under a request. */
const idleConnectionSeconds = 4;
/** Of one host, which takes 800 from everybody. */
const maxConnections = 20;

/** Sends XML to a pool's members and brings back XML; knows nothing of sessions or of what calls mean. */
export interface Transport {
  /**
   * Sends one POST, once.
   * @param method the call's name, for errors
   * @throws XapiRequestTooLarge, XapiCertificateMismatch, XapiUnreachable: never sent
   * @throws the signal's reason when it is aborted before anything was sent
   * @throws XapiReplyLost, also when aborted later; XapiProtocolError for another HTTP status than 200
   */
  post(address: URL, method: string, xml: string, signal?: AbortSignal): Promise<Buffer>;
  /** Breaks all connections. */
  close(): Promise<void>;
}

/** @param callTimeoutSeconds the most that one call may take, from waiting for a connection to the answer's end */
export function createTransport(trust: Trust, callTimeoutSeconds: number): Transport {
  const agent = new Agent({
    connect: trustingConnector(trust, Math.min(callTimeoutSeconds, maxConnectSeconds) * 1000),
    connections: maxConnections,
    pipelining: 1,
    keepAliveTimeout: idleConnectionSeconds * 1000,
    keepAliveMaxTimeout: idleConnectionSeconds * 1000,
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  return {
    async post(address, method, xml, signal) {
      const body = Buffer.from(xml);
      if (body.length > maxRequestBytes) throw new XapiRequestTooLarge(method, body.length, maxRequestBytes);
      // undici frees a connection one turn after the answer; a call made at once would open another.
      await nextTurn();
      signal?.throwIfAborted();
      const request = { address, method, body, signal, timeoutSeconds: callTimeoutSeconds };
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
  const { address, method, body, signal, timeoutSeconds } = request;
  return new Promise((resolve, reject) => {
    let sent: Dispatcher.DispatchController | undefined;
    let status = 0;
    let settled = false;
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
      () => giveUp(new Error(`nothing heard within ${timeoutSeconds} s`)),
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
        onResponseData(_, chunk) {
          chunks.push(chunk);
        },
        onResponseEnd: () => settle(() => resolve({ status, body: Buffer.concat(chunks) })),
        onResponseError: (_, error) => fail(error),
      },
    );
  });
}
