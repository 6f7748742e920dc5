import type { z } from '@hono/zod-openapi';
import { Fault } from '../faults.ts';

/** The body as a schema reads it. @throws Fault 400 that names the field */
export function checked<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const field = (issue?.path ?? []).map(String).join('.') || 'the body';
  throw new Fault(400, `${field}: ${issue?.message.replace(/^Invalid (input|option): /, '')}`.toWellFormed());
}
