import { GlanceUnavailable } from './errors.ts';
import { type Image, pageOnTheWire } from './image.ts';

/** Which images a list gives; what is left out does not restrict it. */
export interface ImageFilter {
  name?: string;
  status?: string;
  visibility?: string;
  owner?: string;
  /** custom properties that must have just these values */
  properties?: Record<string, string>;
  /** e.g. `created_at:desc`, which is Glance's own choice too */
  sort?: string;
  /** images on a page; Glance gives 25 if not told, and at most its `api_limit_max` (1000) */
  pageSize?: number;
}

type ReadPage = (
  path: string,
  schema: typeof pageOnTheWire,
) => Promise<{ images: Image[]; next?: string | undefined }>;

/** Follows `next` from page to page. */
export async function* listPages(
  filter: ImageFilter,
  readPage: ReadPage,
): AsyncGenerator<Image, void, undefined> {
  let query = `?${queryOf(filter)}`;
  const seen = new Set<string>();
  for (;;) {
    const path = `/v2/images${query}`;
    const page = await readPage(path, pageOnTheWire);
    yield* page.images;
    if (page.next === undefined) return;
    // Only the query is taken from `next`: its path lacks the endpoint's prefix behind a proxy, and an address of
    // the server's choice must not get our token.
    query = new URL(page.next, 'http://next.invalid').search;
    if (seen.has(query)) throw new GlanceUnavailable(`Glance's list of images goes in a circle at ${path}`);
    seen.add(query);
  }
}

function queryOf({ properties, sort, pageSize, ...plain }: ImageFilter): URLSearchParams {
  const query = new URLSearchParams({ ...properties });
  for (const [key, value] of Object.entries(plain)) if (value !== undefined) query.set(key, value);
  query.set('limit', String(pageSize ?? 100));
  if (sort) query.set('sort', sort);
  return query;
}
