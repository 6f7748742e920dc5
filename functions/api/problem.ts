import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { ERROR_STATUS } from '../errors.ts';

/** Errors that only HTTP has; those of the product are in ERROR_STATUS. */
const HTTP_STATUS = {
  MethodNotAllowed: 405,
  BodyTooLarge: 413,
  UnsupportedMediaType: 415,
  NotImplemented: 501,
} as const;

/** The status of every error name that an answer may carry. */
export const PROBLEM_STATUS: Readonly<Record<string, ContentfulStatusCode>> = {
  ...ERROR_STATUS,
  ...HTTP_STATUS,
};

export type ProblemName = keyof typeof ERROR_STATUS | keyof typeof HTTP_STATUS;

/** Seconds after which a caller should ask again where a pool or a service did not answer. */
const RETRY_AFTER_SECONDS = 15;

/** This installation of the API does not do this. */
export class NotImplemented extends Error {
  override readonly name = 'NotImplemented';
}

/** Every refusal has this shape; some names bring further fields, such as `jobId` or `candidates`. */
export const Problem = z
  .object({
    error: z.looseObject({
      name: z.string().openapi({ example: 'SnapshotInProgress' }),
      message: z.string().openapi({ description: 'For the operator: what is wrong, and what mends it.' }),
    }),
  })
  .openapi('Problem');

/** Answers a refusal. */
export function problem(
  c: Context,
  name: ProblemName,
  message: string,
  details: Readonly<Record<string, unknown>> = {},
): Response {
  const status = PROBLEM_STATUS[name] ?? 500;
  if (status === 503) retryLater(c);
  return c.json({ error: { name, message, ...details } }, status);
}

/** What a body is refused with that is something else than JSON. */
export const NOT_JSON = {
  name: 'UnsupportedMediaType',
  message: 'Send the body as Content-Type: application/json.',
} as const;

/** Says when to ask again; every 503 does. */
export function retryLater(c: Context): void {
  c.header('Retry-After', String(RETRY_AFTER_SECONDS));
}

/** The header of {@link retryLater}, for the OpenAPI document. */
export const RetryAfter = z.object({
  'Retry-After': z.string().openapi({ description: 'Seconds.', example: String(RETRY_AFTER_SECONDS) }),
});

/** What each status of a refusal means, for the OpenAPI document. */
export const DESCRIPTIONS = {
  400: 'The request is wrong; the message names the field and what it may be.',
  401: 'The token, or what else says who asks, is missing or not known.',
  403: 'Who asks is known, but may not do this.',
  404: 'There is nothing of that name.',
  406: 'The answer cannot be had in the form or version that was asked for.',
  409: 'Not as things are now: the VM is busy, its state does not allow it, or it is too late; the message says which.',
  413: 'The body has more than 64 KiB, or the disk is larger than asked for.',
  415: 'The body is not application/json.',
  500: 'Something that should not happen; the log has the details.',
  501: 'Not implemented here.',
  502: 'Glance, or the Keystone before it, refused or did not answer.',
  503: 'A pool or a service does not answer, or refuses the login.',
} as const;

export type ProblemStatus = keyof typeof DESCRIPTIONS;
interface ProblemResponse {
  description: string;
  content: { 'application/json': { schema: typeof Problem } };
  headers?: z.ZodObject;
}

/** The refusals of an operation, for the OpenAPI document. */
export function problems<const S extends ProblemStatus>(...statuses: readonly S[]) {
  const response = (status: ProblemStatus): ProblemResponse => ({
    description: DESCRIPTIONS[status],
    content: { 'application/json': { schema: Problem } },
    ...(status === 503 && { headers: RetryAfter }),
  });
  return Object.fromEntries(statuses.map((status) => [status, response(status)])) as Record<
    S,
    ProblemResponse
  >;
}
