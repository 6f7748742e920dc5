import type { Context } from 'hono';
import { shorten } from '../../../glance/shorten.ts';
import { Fault } from '../faults.ts';
import { baseUrl, type Link } from './links.ts';
import { last, MOST_ITEMS, wholeNumber } from './query.ts';

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
