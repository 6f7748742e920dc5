import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { shorten } from '../../../glance/shorten.ts';
import { Fault } from '../faults.ts';
import { baseUrl, type Link } from './links.ts';

/** Nova's `max_limit`. */
const MOST_ITEMS = 1000;

/** The paging of Nova's lists, for the OpenAPI document. */
export const PageQuery = {
  limit: z
    .string()
    .optional()
    .openapi({ type: 'integer', minimum: 0, description: `At most ${MOST_ITEMS}; so many if absent.` }),
  marker: z.string().optional().openapi({ description: 'The id of the last item of the page before.' }),
};

/**
 * The page of a list that the request's `limit` and `marker` ask for, of the items that fit. As in Nova, the marker
 * need not fit, and a full page has a link to the next one even at the very end.
 */
export function pageOf<T extends { readonly id: string }>(
  c: Context,
  all: readonly T[],
  fits: (item: T) => boolean,
): { items: T[]; links: Link[] } {
  const limit = Math.min(MOST_ITEMS, wholeNumber(c, 'limit') ?? MOST_ITEMS);
  const items = after(all, last(c, 'marker')).filter(fits).slice(0, limit);
  const end = items.at(-1);
  if (items.length < limit || !end) return { items, links: [] };
  const query = new URLSearchParams(new URL(c.req.url).searchParams);
  query.set('marker', end.id);
  query.sort();
  return { items, links: [{ rel: 'next', href: `${baseUrl(c)}${c.req.path}?${query}` }] };
}

function after<T extends { readonly id: string }>(
  all: readonly T[],
  marker: string | undefined,
): readonly T[] {
  if (marker === undefined) return all;
  const index = all.findIndex(({ id }) => id === marker);
  if (index < 0) throw new Fault(400, `marker [${shorten(marker, 60)}] not found`);
  return all.slice(index + 1);
}

/** A whole number out of the query, 0 or more. @throws Fault 400 for anything else */
export function wholeNumber(c: Context, name: string): number | undefined {
  const text = last(c, name);
  if (text === undefined) return undefined;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new Fault(
    400,
    `Invalid input for query parameters ${name}. Value: ${shorten(text, 60)}. It must be a whole number, 0 or more.`,
  );
}

/** A query parameter's value; the last one counts. */
export function last(c: Context, name: string): string | undefined {
  return c.req.queries(name)?.at(-1);
}
