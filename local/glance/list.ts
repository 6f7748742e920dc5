import { type Answer, Refused } from './answer.ts';
import { attributes } from './attributes.ts';
import type { Exchange } from './exchange.ts';
import type { ImageRecord } from './records.ts';
import { imageJson } from './wire.ts';

const SORT_KEYS = [
  'name',
  'status',
  'container_format',
  'disk_format',
  'size',
  'id',
  'created_at',
  'updated_at',
] as const;
type SortKey = (typeof SORT_KEYS)[number];
type Order = { key: SortKey; descending: boolean }[];

/** GET /v2/images: 25 a page if not told, at most 1000; everything that is no parameter or attribute is a property. */
export async function list({ service, query }: Exchange): Promise<Answer> {
  const limit = Math.min(readLimit(query.get('limit')), 1000);
  const order = readOrder(query);
  const filters = readFilters(query);
  const marker = query.get('marker');
  const start = marker === null ? undefined : service.records.get(marker);
  if (marker !== null && !start) throw new Refused(400, `No image found with ID ${marker}`);
  const rest = service.records
    .all()
    .filter((record) => filters.every((fits) => fits(record)))
    .filter((record) => !start || compare(record, start, order) > 0)
    .sort((a, b) => compare(a, b, order));
  const page = rest.slice(0, limit);
  const first = new URLSearchParams(query);
  first.delete('marker');
  const path = first.size > 0 ? `/v2/images?${first}` : '/v2/images';
  const last = page.at(-1);
  // Zed gives `next` with every full page, also when nothing follows.
  const next = last && page.length === limit && `${path}${first.size > 0 ? '&' : '?'}marker=${last.id}`;
  const json = {
    images: page.map(imageJson),
    first: path,
    schema: '/v2/schemas/images',
    ...(next && { next }),
  };
  return { status: 200, json };
}

function readLimit(text: string | null): number {
  if (text === null) return 25;
  if (!/^-?\d+$/.test(text)) throw new Refused(400, 'limit param must be an integer');
  if (Number(text) < 0) throw new Refused(400, 'limit param must be positive');
  return Number(text);
}

function readOrder(query: URLSearchParams): Order {
  const keys = query.getAll('sort_key');
  const directions = query.getAll('sort_dir');
  const sort = query.get('sort');
  if (sort !== null && keys.length + directions.length > 0)
    throw new Refused(400, 'Old and new sorting syntax cannot be combined');
  const asked =
    sort === null
      ? keys.map((key, at) => [key, directions[at] ?? directions[0] ?? 'desc'])
      : sort.split(',').map((part) => part.trim().split(':'));
  const order = asked.map(([key, direction = 'desc']) => ({
    key: sortKey(key),
    descending: descends(direction),
  }));
  const descending = order[0]?.descending ?? descends(directions[0] ?? 'desc');
  return [...order, { key: 'created_at', descending }, { key: 'id', descending }];
}

function sortKey(text: string | undefined): SortKey {
  const key = SORT_KEYS.find((one) => one === text);
  if (key) return key;
  throw new Refused(
    400,
    `Invalid sort key: ${text}. It must be one of the following: ${SORT_KEYS.join(', ')}.`,
  );
}

function descends(direction: string): boolean {
  if (direction !== 'asc' && direction !== 'desc')
    throw new Refused(400, `Invalid sort direction: ${direction}`);
  return direction === 'desc';
}

function compare(a: ImageRecord, b: ImageRecord, order: Order): number {
  for (const { key, descending } of order) {
    const [x, y] = [a[key] ?? '', b[key] ?? ''];
    if (x !== y) return x < y === descending ? 1 : -1;
  }
  return 0;
}

type Filter = (record: ImageRecord) => boolean;

function readFilters(query: URLSearchParams): Filter[] {
  const filters: Filter[] = [];
  let hidden = false;
  for (const [key, text] of query) {
    if (['limit', 'marker', 'sort', 'sort_key', 'sort_dir', 'member_status'].includes(key)) continue;
    if (key === 'os_hidden') hidden = readBoolean(key, text);
    else filters.push(readFilter(key, text));
  }
  return [...filters, (record) => record.os_hidden === hidden];
}

function readFilter(key: string, text: string): Filter {
  if (key === 'tag') return ({ tags }) => tags.includes(text);
  if (key === 'size_min') return ({ size }) => size !== null && size >= Number(text);
  if (key === 'size_max') return ({ size }) => size !== null && size <= Number(text);
  if (key === 'protected') {
    const wanted = readBoolean(key, text);
    return (record) => record.protected === wanted;
  }
  if (key === 'visibility') {
    if (text === 'all') return () => true;
    if (!attributes.visibility?.enum?.includes(text))
      throw new Refused(400, `Invalid visibility value: ${text}`);
  }
  if (!Object.hasOwn(attributes, key)) return ({ properties }) => properties[key] === text;
  const wanted = COMPARED.includes(key) ? comparedTo(text) : [text];
  return (record) => wanted.includes(String(imageJson(record)[key]));
}

/** Attributes before whose value an operator may stand (_make_conditions_from_filters in glance/db/sqlalchemy/api.py). */
const COMPARED: readonly string[] = ['name', 'id', 'status', 'container_format', 'disk_format'];

/** The values that such a filter lets through. What stands before the first colon is the operator, but of a time. */
function comparedTo(text: string): string[] {
  const colon = text.indexOf(':');
  const isTime = /^\d{4}-\d\d-\d\dT/.test(text) && !Number.isNaN(Date.parse(text));
  if (colon === -1 || isTime) return [text];
  const [operator, value] = [text.slice(0, colon), text.slice(colon + 1)];
  if (operator === 'eq') return [value];
  if (operator === 'in') return valuesOf(value);
  throw new Refused(400, `Unable to filter by unknown operator '${operator}'.`);
}

/** A list with commas, in which a value that has one stands in quotes (split_filter_value_for_quotes). */
function valuesOf(text: string): string[] {
  let open = false;
  for (const { index } of text.matchAll(/(?<!\\)"/g)) {
    const [beside, where] = open ? [text[index + 1], 'after closing'] : [text[index - 1], 'before opening'];
    if (beside !== undefined && beside !== ',')
      throw new Refused(400, `Invalid filter value ${text}. There is no comma ${where} quotation mark.`);
    open = !open;
  }
  if (open) throw new Refused(400, `Invalid filter value ${text}. The quote is not closed.`);
  return [...text.matchAll(/"([^"\\]*(?:\\.[^"\\]*)*)",?|([^,]+),?|,/g)].map(
    ([, quoted, plain]) => quoted || plain || '',
  );
}

function readBoolean(key: string, text: string): boolean {
  if (/^(true|false)$/i.test(text)) return text.toLowerCase() === 'true';
  throw new Refused(400, `Invalid value '${text}' for '${key}' filter. Valid values are 'true' or 'false'.`);
}
