import type { ApiClient } from './client.ts';

/** What the API gives at a time. */
const PAGE = 100;

/** A list as the API gives it: some items under the list's name, and the marker of the next ones. */
type PageOf<K extends string, T> = { readonly [key in K]: readonly T[] } & { readonly next: string | null };

/** The items of a list over as many pages as it takes, at most `limit`; filters that are undefined are left out. */
export async function everyPage<K extends string, T>(
  client: ApiClient,
  name: K,
  {
    limit = Number.POSITIVE_INFINITY,
    ...filters
  }: { readonly limit?: number } & Readonly<Record<string, string | number | undefined>> = {},
): Promise<T[]> {
  const items: T[] = [];
  let marker: string | null = null;
  do {
    const query = new URLSearchParams({ limit: String(Math.min(PAGE, limit - items.length)) });
    for (const [key, value] of Object.entries(filters))
      if (value !== undefined) query.set(key, String(value));
    if (marker !== null) query.set('marker', marker);
    const page: PageOf<K, T> = await client.get(`/${name}?${query}`);
    items.push(...page[name]);
    marker = page.next;
  } while (marker !== null && items.length < limit);
  return items;
}

/** The answers of a list whose pages are as long as an answer may be, from the first to the last. */
export async function everyAnswer<T extends { readonly next: string | null }>(
  client: ApiClient,
  path: string,
  query: Readonly<Record<string, string>> = {},
): Promise<[T, ...T[]]> {
  const get = (more: Readonly<Record<string, string>>) => {
    const asked = new URLSearchParams({ ...query, ...more }).toString();
    return client.get<T>(asked === '' ? path : `${path}?${asked}`);
  };
  const first = await get({});
  const answers: [T, ...T[]] = [first];
  for (let { next } = first; next; ) {
    const answer = await get({ marker: next });
    answers.push(answer);
    next = answer.next;
  }
  return answers;
}

/** What some page could not look at, each once: what a page lacks is on no later one either. */
export function eachOnce<T>(items: readonly T[], keyOf: (item: T) => string | null): T[] {
  return [...new Map(items.map((item) => [keyOf(item), item])).values()];
}
