import type { Context, ErrorHandler } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { XensnapError } from '../errors.ts';
import type { Runtime } from '../runtime/executions.ts';
import { isForAll } from '../told.ts';
import { translate } from '../translate.ts';
import { NOT_JSON, NotImplemented, PROBLEM_STATUS, type ProblemName, problem } from './problem.ts';
import { hearsAll, listenerOf, toldTo } from './told-to.ts';

/** What a request ended in, as its caller may know it. */
export interface Failure {
  readonly name: ProblemName;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

type Answer = (c: Context, failure: Failure) => Response;

/**
 * Answers what a handler threw. A known name passes, with its message where that is for the caller to know; anything
 * else is `Internal` without a word of what it was, which is for the log only.
 * @param answer gives it the form of one of the APIs
 */
export function failureHandler(
  { log, config }: Pick<Runtime, 'log' | 'config'>,
  answer: Answer = asProblem,
): ErrorHandler {
  return (thrown, c) => {
    if (thrown instanceof HTTPException) return answer(c, ofHono(thrown));
    const error = translate(thrown);
    // An error may be named like a property that every object has.
    const status = Object.hasOwn(PROBLEM_STATUS, error.name) ? PROBLEM_STATUS[error.name] : undefined;
    const request = { method: c.req.method, path: c.req.path };
    if (status === undefined || error.name === 'Internal' || !isOurs(error)) {
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
    const listener = listenerOf(c, config);
    const details = error instanceof XensnapError ? error.details : {};
    return answer(c, {
      name: error.name as ProblemName,
      message: toldTo(listener, error).message,
      details: hearsAll(listener) || isForAll(error.name) ? details : {},
    });
  };
}

/** A library's error may have the name of one of ours whose message everybody may read. */
function isOurs(error: Error): boolean {
  return error instanceof XensnapError || error instanceof NotImplemented || !isForAll(error.name);
}

function asProblem(c: Context, { name, message, details }: Failure): Response {
  return problem(c, name, message, details);
}

/** What Hono and its validators refuse by themselves. */
function ofHono(thrown: HTTPException): Failure {
  if (thrown.status === 415) return NOT_JSON;
  return { name: 'BadRequest', message: 'The body is not JSON.' };
}
