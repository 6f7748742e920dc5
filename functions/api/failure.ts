import type { Context, ErrorHandler } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { XensnapError } from '../errors.ts';
import type { Log } from '../log.ts';
import { translate } from '../translate.ts';
import { NOT_JSON, PROBLEM_STATUS, type ProblemName, problem } from './problem.ts';

/** What a request ended in, as its caller may know it. */
export interface Failure {
  readonly name: ProblemName;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

type Answer = (c: Context, failure: Failure) => Response;

/**
 * Answers what a handler threw. A known name passes with its message, which is meant for operators; anything else
 * is `Internal` without a word of what it was, which is for the log only.
 * @param answer gives it the form of one of the APIs
 */
export function failureHandler(log: Log, answer: Answer = asProblem): ErrorHandler {
  return (thrown, c) => {
    if (thrown instanceof HTTPException) return answer(c, ofHono(thrown));
    const error = translate(thrown);
    const status = PROBLEM_STATUS[error.name];
    const request = { method: c.req.method, path: c.req.path };
    if (status === undefined || error.name === 'Internal') {
      log.error('request failed', {
        ...request,
        error: thrown.name,
        reason: thrown.message,
        stack: thrown.stack,
      });
      return answer(c, {
        name: 'Internal',
        message: 'The request failed for a reason of our own; the log has it.',
      });
    }
    if (status >= 500) log.warn('request refused', { ...request, error: error.name, reason: error.message });
    const details = error instanceof XensnapError ? error.details : {};
    return answer(c, { name: error.name as ProblemName, message: error.message, details });
  };
}

function asProblem(c: Context, { name, message, details }: Failure): Response {
  return problem(c, name, message, details);
}

/** What Hono and its validators refuse by themselves. */
function ofHono(thrown: HTTPException): Failure {
  if (thrown.status === 415) return NOT_JSON;
  return { name: 'BadRequest', message: 'The body is not JSON.' };
}
