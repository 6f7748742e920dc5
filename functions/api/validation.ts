import { type Hook, z } from '@hono/zod-openapi';
import type { Env } from 'hono';
import { problem } from './problem.ts';

/** Control characters and half surrogate pairs, which XML 1.0, in which names travel to the pool, cannot carry. */
const NO_CONTROLS = /^[^\p{Cc}\p{Cs}\ufffe\uffff]*$/u;

const notText = ({ code, input }: { code: string; input: unknown }) =>
  code !== 'invalid_type' ? undefined : input === undefined ? 'is missing' : 'must be a string';

/** A line of text that every system on its way can carry: `min` to `max` characters, each counted once as Glance does. */
export function line(max: number, min = 1) {
  return z
    .string({ error: notText })
    .min(min)
    .regex(NO_CONTROLS, 'has a control character')
    .refine((text) => [...text].length <= max, `has more than ${max} characters`)
    .openapi({ maxLength: max });
}

const NO_POSITION = 'must be the position of a disk, such as 0 or "1"';

/** A disk's position, as text or as a number; the text is what xapi calls it. */
export const DeviceInput = z
  .union([z.int().min(0).max(255).transform(String), z.string().regex(/^[0-9a-z]{1,8}$/, NO_POSITION)], {
    error: NO_POSITION,
  })
  .openapi({ type: ['string', 'integer'], example: '0' });

/** An object that names each field it does not know, instead of ignoring what the caller meant by it. */
export function strict<T extends z.core.$ZodLooseShape>(shape: T) {
  const known = Object.keys(shape).join(', ');
  return z.strictObject(shape, {
    error: ({ code, keys = [] }) =>
      code === 'unrecognized_keys'
        ? `there is no field ${(keys as string[]).map((key) => JSON.stringify(key)).join(', ')}; there is ${known || 'none'}`
        : undefined,
  });
}

/**
 * An object with keys of the caller's, `most` at most. zod leaves out a key `__proto__` without a word, and what is sent
 * must not be taken for heeded.
 */
export function keyed<K extends z.core.$ZodRecordKey, V extends z.ZodType>(key: K, value: V, most: number) {
  const record = z
    .record(key, value)
    .refine((entries) => Object.keys(entries).length <= most, `has more than ${most} entries`);
  return z
    .preprocess((input, { issues }) => {
      if (typeof input === 'object' && input !== null && Object.hasOwn(input, '__proto__'))
        issues.push({ code: 'custom', input, path: ['__proto__'], message: 'this key is not taken' });
      return input;
    }, record)
    .openapi({ maxProperties: most });
}

/** Which page of a list: the fields of its query. */
export const pageFields = {
  limit: z
    .string()
    .regex(/^\d+$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.int().min(1).max(100))
    .default(50)
    .openapi({ type: 'integer', minimum: 1, maximum: 100, default: 50 }),
  marker: z.string().max(255).optional().openapi({ description: '`next` of the page before.' }),
};

/** The same of a list whose pages are as long as an answer may be. */
export const markerField = {
  marker: z.string().max(4096).optional().openapi({ description: '`next` of the page before.' }),
};

/** The object as it is: a validated body has no field whose value is undefined, only TypeScript can't know. */
export function present<T extends object>(body: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return body as { [K in keyof T]: Exclude<T[K], undefined> };
}

/** The query of a list that takes no filter: a filter is refused, so that nobody takes the whole list for a part. */
export const NoQuery = strict({});

const PLACES: Readonly<Record<string, string>> = {
  json: 'the body',
  query: 'the query',
  header: 'the header',
  param: 'the path',
};

/** Answers 400 for what a route's schemas refuse, naming each field. */
export const refuseInvalid: Hook<unknown, Env, string, unknown> = (result, c) => {
  if (result.success) return undefined;
  const fields = result.error.issues.map((issue) => ({
    field: issue.path.map(String).join('.').toWellFormed() || (PLACES[result.target] ?? result.target),
    message: (issue.code === 'invalid_key' ? 'its key ' : '') + reasonOf(issue),
  }));
  const message = fields.map(({ field, message }) => `${field}: ${message}`).join('; ');
  return problem(c, 'BadRequest', message, { fields });
};

function reasonOf(issue: z.core.$ZodIssue): string {
  const inner = issue.code === 'invalid_key' ? issue.issues[0] : undefined;
  if (inner) return reasonOf(inner);
  const { code, message } = issue;
  const isOurs = !/^(Too (small|big)|Invalid (input|option)): /.test(message);
  if (isOurs) return message;
  if (code === 'too_small')
    return issue.origin === 'string' ? 'must not be empty' : `must be at least ${issue.minimum}`;
  if (code === 'too_big')
    return issue.origin === 'string'
      ? `has more than ${issue.maximum} characters`
      : `must be at most ${issue.maximum}`;
  return message.replace(/^Invalid (input|option): /, '').replace('expected record', 'expected object');
}
