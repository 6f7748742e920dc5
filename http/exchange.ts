import type { Agent, Dispatcher } from 'undici';
import { AnswerTooLarge, CappedBody } from './capped.ts';
import type { Deadline } from './deadline.ts';

/** xapi sends some 200 bytes of headers, Glance 400, Keystone, with a token in them, up to 9 KiB. */
const MAX_HEADER_BYTES = 16 * 1024;
/** Interim answers (102, 103) before the real one: the services themselves send none, a proxy one or two. */
const MOST_INTERIM_ANSWERS = 8;

/**
 * What every agent for servers of others is made with. HTTP/1.1 alone, of which the limits hold; no times of undici's,
 * which begin anew with each byte: the deadline of an exchange is for all of it.
 */
export const AGENT_LIMITS = {
  maxHeaderSize: MAX_HEADER_BYTES,
  headersTimeout: 0,
  bodyTimeout: 0,
  allowH2: false,
} as const;

/** One request. No encoding is asked for with `accept-encoding`, and none is undone. */
export interface Request {
  readonly origin: string;
  readonly path: string;
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer | undefined;
  readonly deadline: Deadline;
  /** the most that is taken of the answer's body */
  readonly maxBytes: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: CappedBody;
}

/** There is no answer, or not all of one. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
  /** Whether the request had gone out: then it may have had its effect. */
  readonly sent: boolean;

  constructor(sent: boolean, cause: unknown) {
    super('no answer', { cause });
    this.sent = sent;
  }
}

/**
 * Sends one request, once, and reads all of its answer, whatever its status. Over undici's dispatch, its lowest level,
 * for the one thing that the others do not tell: whether the request went out (`onRequestStart`) before it failed.
 * undici does not send a POST again; should it ever try to, the second start is refused.
 * @throws NoAnswer, with its cause; AnswerTooLarge: then the connection is broken
 */
export function exchange(agent: Agent, request: Request): Promise<Answer> {
  const { deadline, maxBytes, body, ...rest } = request;
  return new Promise((resolve, reject) => {
    let sent: Dispatcher.DispatchController | undefined;
    let settled = false;
    let interim = 0;
    let head: Pick<Answer, 'status' | 'headers'> | undefined;
    const received = new CappedBody(maxBytes);

    const settle = (outcome: () => void) => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      deadline.signal?.removeEventListener('abort', onAbort);
      outcome();
    };
    const fail = (error: unknown) =>
      settle(() => reject(error instanceof AnswerTooLarge ? error : new NoAnswer(sent !== undefined, error)));
    const giveUp = (cause: Error) => {
      fail(cause);
      sent?.abort(cause);
    };
    const onAbort = () => giveUp(deadline.signal?.reason);
    const timer = setTimeout(() => giveUp(deadline.silence()), deadline.leftMs);
    deadline.signal?.addEventListener('abort', onAbort, { once: true });

    agent.dispatch(
      { ...rest, body: body ?? null },
      {
        onRequestStart(controller) {
          if (settled || sent) return controller.abort(new Error('not to be sent'));
          sent = controller;
        },
        onResponseStart(_, status, headers) {
          if (status >= 200) head = { status, headers };
          else if (++interim > MOST_INTERIM_ANSWERS)
            giveUp(new Error('answers without an end, and no last one'));
        },
        onResponseData(_, chunk) {
          if (settled) return;
          try {
            received.take(chunk);
          } catch (error) {
            giveUp(error as Error);
          }
        },
        onResponseEnd() {
          if (head === undefined) return fail(new Error('an answer without a status'));
          const answer = { ...head, body: received };
          settle(() => resolve(answer));
        },
        onResponseError: (_, error) => fail(error),
      },
    );
  });
}
