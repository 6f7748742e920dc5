import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { shorten } from '../../../glance/shorten.ts';
import { Fault } from '../faults.ts';

/** Nova's `max_limit`. */
export const MOST_ITEMS = 1000;

/** The paging of Nova's lists, for the OpenAPI document. */
export const PageQuery = {
  limit: z
    .string()
    .optional()
    .openapi({ type: 'integer', minimum: 0, description: `At most ${MOST_ITEMS}; so many if absent.` }),
  marker: z.string().optional().openapi({ description: 'The id of the last item of the page before.' }),
};

/**
 * Refuses what a list does not know, in the words of Nova's newer microversions: at 2.1 it ignores such a parameter,
 * and then gives more than was asked for.
 * @param known the parameters of the list, by name
 * @throws Fault 400
 */
export function refuseOtherParameters(c: Context, known: object): void {
  const other = Object.keys(c.req.queries()).find((name) => !Object.hasOwn(known, name));
  if (other === undefined) return;
  const name = shorten(other, 60).toWellFormed();
  throw new Fault(
    400,
    `Additional properties are not allowed ('${name}' was unexpected). Here there is ${Object.keys(known).join(', ')}.`,
  );
}

/** A whole number out of the query, 0 or more. @throws Fault 400 for anything else */
export function wholeNumber(c: Context, name: string): number | undefined {
  const text = last(c, name);
  if (text === undefined) return undefined;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw wrongParameter(name, text, 'It must be a whole number, 0 or more');
}

/** Reads a truth value as oslo.utils does (strutils.bool_from_string). @throws Fault 400 for any other text */
export function isTrue(c: Context, name: string): boolean {
  const text = last(c, name);
  if (text === undefined || /^(|0|f|false|off|n|no)$/i.test(text.trim())) return false;
  if (/^\s*(1|t|true|on|y|yes)\s*$/i.test(text)) return true;
  throw wrongParameter(name, text, 'It must be true or false');
}

/** Nova's words for a parameter whose value is wrong. */
export function wrongParameter(
  name: string,
  value: string | undefined,
  reason: string,
  cause?: unknown,
): Fault {
  const shown = shorten(value ?? '', 60).toWellFormed();
  return new Fault(400, `Invalid input for query parameters ${name}. Value: ${shown}. ${reason}.`, { cause });
}

/** A query parameter's value; the last one counts. */
export function last(c: Context, name: string): string | undefined {
  return c.req.queries(name)?.at(-1);
}
