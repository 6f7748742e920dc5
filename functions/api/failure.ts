import type { Context, ErrorHandler } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { XensnapError } from '../errors.ts';
import type { Log } from '../log.ts';
import { translate } from '../translate.ts';
import { PROBLEM_STATUS, type ProblemName, problem } from './problem.ts';

/**
 * Answers what a handler threw. A known name passes with its message, which is meant for operators; anything else
 * is `Internal` without a word of what it was, which is for the log only.
 */
export function failureHandler(log: Log): ErrorHandler {
  return (thrown, c) => {
    if (thrown instanceof HTTPException) return ofHono(thrown, c);
    const error = isThrottled(thrown) ? busy(thrown) : translate(thrown);
    const status = PROBLEM_STATUS[error.name];
    const request = { method: c.req.method, path: c.req.path };
    if (status === undefined || error.name === 'Internal') {
      log.error('request failed', {
        ...request,
        error: thrown.name,
        reason: thrown.message,
        stack: thrown.stack,
      });
      return problem(c, 'Internal', 'The request failed for a reason of our own; the log has it.');
    }
    if (status >= 500) log.warn('request refused', { ...request, error: error.name, reason: error.message });
    const details = error instanceof XensnapError ? error.details : {};
    return problem(c, error.name as ProblemName, error.message, details);
  };
}

function busy(cause: Error): XensnapError {
  const message = `AWS takes no more requests of this service at the moment (${cause.name}). Ask again.`;
  return new XensnapError('ServiceUnavailable', message, { cause });
}

/** Whether a service of AWS has refused for their number; each has its own name for it. */
function isThrottled(thrown: Error): boolean {
  return /Throttl|^ProvisionedThroughputExceeded|^RequestLimitExceeded|^TooManyRequests/.test(thrown.name);
}

/** What Hono and its validators refuse by themselves. */
function ofHono(thrown: HTTPException, c: Context): Response {
  if (thrown.status === 415)
    return problem(c, 'UnsupportedMediaType', 'Send the body as Content-Type: application/json.');
  return problem(c, 'BadRequest', 'The body is not JSON.');
}
