import { randomBytes } from 'node:crypto';
import { ServiceError } from '../json-service.ts';
import { TaskFailure } from './failures.ts';

const TOKEN_SHAPE = /^AAAAKgAAAAI[A-Za-z0-9_-]{64}$/;
const REMEMBERED_TOKENS = 10_000;

/** Task tokens: made for one attempt of one task, good for one answer. */
export interface TaskTokens {
  issue(): string;
  /** Settles when somebody returns the token, with the output or a TaskFailure. */
  answer(token: string): Promise<unknown>;
  /** From now on the token is answered with TaskTimedOut: used, timed out, or its execution has ended. */
  close(token: string): void;
  /** @throws ServiceError TaskTimedOut, TaskDoesNotExist or InvalidToken */
  succeed(token: string, output: unknown): void;
  /** @throws ServiceError TaskTimedOut, TaskDoesNotExist or InvalidToken */
  fail(token: string, error: string, cause: string): void;
}

/** A register of tokens. Of closed ones it remembers the last 10,000; older ones become TaskDoesNotExist. */
export function taskTokens(): TaskTokens {
  const open = new Map<string, PromiseWithResolvers<unknown>>();
  const closed = new Set<string>();

  function close(token: string): void {
    if (!open.delete(token)) return;
    closed.add(token);
    const [oldest] = closed;
    if (closed.size > REMEMBERED_TOKENS && oldest !== undefined) closed.delete(oldest);
  }

  function take(token: string): PromiseWithResolvers<unknown> {
    const waiting = open.get(token);
    if (waiting) {
      close(token);
      return waiting;
    }
    if (closed.has(token)) throw new ServiceError('TaskTimedOut', 'Provided task does not exist anymore');
    if (TOKEN_SHAPE.test(token)) throw new ServiceError('TaskDoesNotExist', 'Provided task does not exist');
    throw new ServiceError('InvalidToken', 'Invalid token');
  }

  return {
    issue() {
      const token = `AAAAKgAAAAI${randomBytes(48).toString('base64url')}`;
      const waiting = Promise.withResolvers<unknown>();
      waiting.promise.catch(() => {});
      open.set(token, waiting);
      return token;
    },
    answer: (token) =>
      open.get(token)?.promise ?? Promise.reject(new TaskFailure('States.Runtime', 'unknown token')),
    close,
    succeed: (token, output) => take(token).resolve(output),
    fail: (token, error, cause) => take(token).reject(new TaskFailure(error, cause)),
  };
}
