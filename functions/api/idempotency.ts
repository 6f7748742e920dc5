import { createHash } from 'node:crypto';
import type { Idempotency } from '../snapshot-request.ts';
import type { Caller } from './caller.ts';

/**
 * What makes a request act once: its `Idempotency-Key`, which is its caller's alone, and what it asks for.
 * @param body as its schema has read it, so that what means the same is the same
 */
export function idempotencyOf({ id }: Caller, key: string, body: object): Idempotency {
  return { key: digestOf([id, key]), request: digestOf(sorted(body)) };
}

/** What a wish has of an `Idempotency-Key`: nothing where none was sent. */
export function keyOf(caller: Caller, key: string | undefined, body: object): { idempotency?: Idempotency } {
  return key === undefined ? {} : { idempotency: idempotencyOf(caller, key, body) };
}

/** The digest of a value as JSON, in which no text can be mistaken for the end of another. */
function digestOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}

/** The same value with the fields of every object in one order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(fields.map(([name, field]) => [name, sorted(field)]));
}
