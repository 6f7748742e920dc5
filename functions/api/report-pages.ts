import { z } from '@hono/zod-openapi';
import { readMarker, writeMarker } from './marker.ts';
import { bytesInAnswer, MOST_ANSWER_BYTES, withRoom } from './room.ts';

/** What an entry of a list is sorted by; no two entries of a list have the same. */
export type Place = readonly (string | number)[];

/** An entry as it is told, and its place once the list needs more than a page. */
export interface Entry<V> {
  readonly view: V;
  readonly place: Place;
}

/** Bytes that each list has of a page in any case; what some of them do not need goes to the others. */
const SHARES = {
  runs: 1_500_000,
  tests: 200_000,
  testing: 200_000,
  snapshots: 500_000,
  vms: 1_600_000,
  unprotected: 500_000,
  due: 500_000,
} as const;
export type Listed = keyof typeof SHARES;
const LISTED = Object.keys(SHARES) as Listed[];

/** Where a page of a report ended. */
export interface ReportPlace {
  readonly date: string;
  /** When its first page was made; ISO 8601 UTC. What has changed since stays where it was among the others. */
  readonly at: string;
  /** By list, the last entry that was told; a list without one is still to come. */
  readonly told: { readonly [L in Listed]?: Place };
}

const place = z.array(z.union([z.string(), z.number()])).max(8);
const Wire = z.strictObject({
  date: z.iso.date(),
  at: z.iso.datetime(),
  told: z.strictObject(
    Object.fromEntries(LISTED.map((list) => [list, place.optional()])) as Record<
      Listed,
      z.ZodOptional<typeof place>
    >,
  ),
});

/** @throws BadRequest for a marker that no answer gave */
export function reportPlaceOf(marker: string): ReportPlace {
  return readMarker(marker, Wire) as ReportPlace;
}

/** So much of each list as a page has room for, how much is left of each, and where the next page goes on. */
export function pageOf<L extends { readonly [K in Listed]: readonly Entry<unknown>[] }>(
  lists: L,
  { date, at, told }: ReportPlace,
): { page: { [K in Listed]: L[K][number]['view'][] }; left: Record<Listed, number>; next: string | null } {
  const rest = {} as Record<Listed, readonly Entry<unknown>[]>;
  const page = {} as Record<Listed, readonly Entry<unknown>[]>;
  for (const list of LISTED) {
    rest[list] = restOf(lists[list], told[list], list);
    page[list] = withRoom(rest[list], SHARES[list], viewOf);
  }
  let room = MOST_ANSWER_BYTES - LISTED.reduce((sum, list) => sum + bytesOf(page[list]), 0);
  for (const list of LISTED) {
    const more = rest[list].slice(page[list].length);
    if (more.length === 0 || room <= 0) continue;
    const fitting = withRoom(more, room, viewOf);
    room -= bytesOf(fitting);
    page[list] = [...page[list], ...fitting];
  }
  const places = LISTED.flatMap((list) => {
    const last = page[list].reduce<Place | undefined>(
      (most, { place }) => (most && compare(most, place) > 0 ? most : place),
      told[list],
    );
    return last ? [[list, last] as const] : [];
  });
  const left = byList((list) => rest[list].length - page[list].length);
  const isLast = LISTED.every((list) => left[list] === 0);
  return {
    page: byList((list) => page[list].map(({ view }) => view)) as never,
    left,
    next: isLast ? null : writeMarker({ date, at, told: Object.fromEntries(places) }),
  };
}

/** A list as it is where it fits whole on the first page; else the entries from a place on. */
function restOf<V>(
  entries: readonly Entry<V>[],
  after: Place | undefined,
  list: Listed,
): readonly Entry<V>[] {
  if (!after && bytesOf(entries) <= SHARES[list]) return entries;
  return entries
    .filter((entry) => !after || compare(entry.place, after) > 0)
    .toSorted((a, b) => compare(a.place, b.place));
}

const viewOf = ({ view }: Entry<unknown>) => view;

function bytesOf(entries: readonly Entry<unknown>[]): number {
  return entries.reduce((sum, { view }) => sum + bytesInAnswer(view), 0);
}

function compare(a: Place, b: Place): number {
  for (const [index, of] of a.entries()) {
    const other = b[index] ?? '';
    if (of !== other) return of < other ? -1 : 1;
  }
  return 0;
}

function byList<T>(of: (list: Listed) => T): Record<Listed, T> {
  return Object.fromEntries(LISTED.map((list) => [list, of(list)])) as Record<Listed, T>;
}
