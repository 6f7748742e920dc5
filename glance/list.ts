import { GlanceListTooLong, GlanceUnavailable } from './errors.ts';
import type { Image } from './image.ts';
import { MAX_LIST_BYTES, MOST_IMAGES_OF_A_LIST } from './limits.ts';

/** Which images a list gives; what is left out does not restrict it. */
export interface ImageFilter {
  /** exactly that, whatever characters it has */
  name?: string;
  status?: string;
  visibility?: string;
  owner?: string;
  /** custom properties that must have just these values */
  properties?: Record<string, string>;
  /** e.g. `created_at:desc`, which is Glance's own choice too */
  sort?: string;
  /** id of an image: what follows it in the list; of one that is gone Glance refuses it to all but admins */
  marker?: string;
  /** images on a page; Glance gives 25 if not told, and at most its `api_limit_max` (1000) */
  pageSize?: number;
}

interface Page {
  images: Image[];
  next?: string | undefined;
  /** how long it was as it came */
  bytes: number;
}

/**
 * Follows `next` from page to page. An image that a second page repeats, because others came or went meanwhile, is given
 * once. It ends whatever the server says: each page that has a next one must bring something new, and no list is longer
 * than `MOST_IMAGES_OF_A_LIST` and `MAX_LIST_BYTES`.
 * @throws GlanceUnavailable for what cannot be the next page, GlanceListTooLong for a list that is too long, after all
 * before it
 */
export async function* listPages(
  filter: ImageFilter,
  readPage: (path: string) => Promise<Page>,
): AsyncGenerator<Image, void, undefined> {
  const seen = new Set<string>();
  let bytes = 0;
  let path = `/v2/images?${queryOf(filter)}`;
  for (;;) {
    const page = await readPage(path);
    const before = seen.size;
    bytes += page.bytes;
    for (const image of page.images) {
      if (seen.has(image.id)) continue;
      if (seen.size === MOST_IMAGES_OF_A_LIST)
        throw new GlanceListTooLong(
          `Glance lists more than ${MOST_IMAGES_OF_A_LIST} images at ${path}: delete what nobody needs`,
        );
      seen.add(image.id);
      yield image;
    }
    if (page.next === undefined) return;
    if (seen.size === before)
      throw new GlanceUnavailable(`Glance's list of images goes in a circle at ${path}`);
    if (bytes > MAX_LIST_BYTES)
      throw new GlanceListTooLong(`Glance's list of images has more than ${MAX_LIST_BYTES} bytes at ${path}`);
    path = `/v2/images${queryIn(page.next, path)}`;
  }
}

/** Glance's own has some hundred characters, and whatever was asked for. */
const LONGEST_NEXT = 4096;

/**
 * Only the query is taken from `next`: its path lacks the endpoint's prefix behind a proxy, and an address of the
 * server's choice must not get our token.
 */
function queryIn(next: string, path: string): string {
  const url = next.length > LONGEST_NEXT ? null : URL.parse(next, 'http://next.invalid');
  if (url !== null) return url.search;
  const shown = JSON.stringify(next.slice(0, 200));
  throw new GlanceUnavailable(
    `Glance's list of images goes on at ${shown} after ${path}: that is no address`,
  );
}

function queryOf({ properties, name, sort, pageSize, ...plain }: ImageFilter): URLSearchParams {
  const query = new URLSearchParams({ ...properties });
  // What stands before the first colon of a name is taken for an operator, and most names of ours have a time in them.
  if (name !== undefined) query.set('name', `eq:${name}`);
  for (const [key, value] of Object.entries(plain)) if (value !== undefined) query.set(key, value);
  query.set('limit', String(pageSize ?? 100));
  if (sort) query.set('sort', sort);
  return query;
}
