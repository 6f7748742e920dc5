import { z } from '@hono/zod-openapi';
import type { Context, ErrorHandler, Handler, Hono } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { Runtime } from '../runtime/executions.ts';
import { failureHandler } from './failure.ts';
import { methodsOf } from './methods.ts';
import {
  DESCRIPTIONS,
  PROBLEM_STATUS,
  type ProblemName,
  type ProblemStatus,
  RetryAfter,
  retryLater,
} from './problem.ts';

/** How one of the APIs that clients know names its refusals. */
export interface FaultStyle {
  /** The fault's name, by status. */
  readonly names: Readonly<Record<number, string>>;
  /** The name for every other status. */
  readonly otherwise: string;
  /** Where the API has another status for an error of ours than the native one. */
  readonly statuses: Partial<Record<ProblemName, ContentfulStatusCode>>;
}

/** A refusal with the status and in the words of the API that is asked. */
export class Fault extends Error {
  override readonly name = 'Fault';
  readonly status: ContentfulStatusCode;

  constructor(status: ContentfulStatusCode, message: string, options: ErrorOptions = {}) {
    super(message, options);
    this.status = status;
  }
}

const Body = z
  .object({ code: z.int(), message: z.string(), retryAfter: z.string().optional() })
  .openapi('Fault');

/** Answers a fault: an object with one field, the fault's name. */
export function fault(
  { names, otherwise }: FaultStyle,
  c: Context,
  status: ContentfulStatusCode,
  message: string,
): Response {
  if (status === 503) retryLater(c);
  return c.json({ [names[status] ?? otherwise]: { code: status, message } }, status);
}

/** The faults of an operation, for the OpenAPI document. */
export function faults({ names, otherwise }: FaultStyle, ...statuses: readonly ProblemStatus[]) {
  return Object.fromEntries(
    statuses.map((status) => [
      status,
      {
        description: DESCRIPTIONS[status],
        content: { 'application/json': { schema: z.object({ [names[status] ?? otherwise]: Body }) } },
        ...(status === 503 && { headers: RetryAfter }),
      },
    ]),
  );
}

/** Answers what a handler threw as a fault. */
export function faultHandler(style: FaultStyle, runtime: Pick<Runtime, 'log' | 'config'>): ErrorHandler {
  const ofFailure = failureHandler(runtime, (c, { name, message }) =>
    fault(style, c, style.statuses[name] ?? statusOf(name), message),
  );
  return (thrown, c) =>
    thrown instanceof Fault ? fault(style, c, thrown.status, thrown.message) : ofFailure(thrown, c);
}

/** These APIs have no 502: what Glance does not do is for them as if the service were away. */
function statusOf(name: ProblemName): ContentfulStatusCode {
  const status = PROBLEM_STATUS[name] ?? 500;
  return status === 502 ? 503 : status;
}

/** Answers what no route of an app under `prefix` took: 405 with the methods that the path knows, or 404. */
export function unroutedFault(style: FaultStyle, app: Pick<Hono, 'routes'>, prefix: string): Handler {
  return (c) => {
    const allow = methodsOf(app, c.req.path.slice(prefix.length) || '/');
    if (allow === undefined) return fault(style, c, 404, 'The resource could not be found.');
    c.header('Allow', allow);
    return fault(style, c, 405, 'The method specified is not allowed for this resource.');
  };
}
