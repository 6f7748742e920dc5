import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { Change } from '../../functions/store/expression.ts';
import {
  type IndexName,
  MOST_ON_PAGE,
  type Page,
  type PageOptions,
  TABLE,
  Table,
} from '../../functions/store/table.ts';
import { holds } from './condition.ts';

type Item = { readonly id: string } & Readonly<Record<string, unknown>>;

/** The table in memory, for more calls than a protocol can carry. A test compares it with the real one. */
export class MemoryTable extends Table {
  readonly #items = new Map<string, Item>();
  /** Of each index and value the items' places, in their order. */
  readonly #places = new Map<string, Place[]>();
  /** Calls so far. */
  calls = { reads: 0, writes: 0, refused: 0 };

  constructor() {
    // Never asked.
    super(new DynamoDBClient({ region: 'us-east-1' }), 'memory');
  }

  override async get<T>(id: string): Promise<T | undefined> {
    this.calls.reads++;
    return this.#items.get(id) as T | undefined;
  }

  override async create(item: Record<string, unknown> & { id: string }): Promise<boolean> {
    this.calls.writes++;
    if (this.#items.has(item.id)) return false;
    this.#put(plain(item) as Item);
    return true;
  }

  override async change<T>(id: string, change: Change): Promise<T | undefined> {
    this.calls.writes++;
    const before = this.#items.get(id) ?? ({} as Item);
    const { when, set, append, values } = change;
    if (when !== undefined && !holds(when, before, { ...set, ...append, ...values })) {
      this.calls.refused++;
      return undefined;
    }
    // Items are never changed in place: who has read one keeps it as it was.
    const after = { ...before, id, ...plain(set ?? {}) } as Record<string, unknown>;
    for (const name of change.remove ?? []) delete after[name];
    for (const [name, members] of Object.entries(append ?? {}))
      after[name] = [...((after[name] as unknown[] | undefined) ?? []), ...members];
    for (const [name, more] of Object.entries(change.add ?? {})) after[name] = added(after[name], more);
    for (const [name, less] of Object.entries(change.take ?? {})) {
      const rest = [...((after[name] as Set<string> | undefined) ?? [])].filter(
        (member) => !less.has(member),
      );
      // There are no empty sets.
      if (rest.length > 0) after[name] = new Set(rest);
      else delete after[name];
    }
    // A copy, since what had something deleted from it is read slowly for ever after.
    const item = { ...after };
    this.#put(item as Item);
    return item as T;
  }

  override async remove(id: string, attribute: string, value: string): Promise<boolean> {
    this.calls.writes++;
    const item = this.#items.get(id);
    if (item?.[attribute] !== value) return false;
    this.#unindex(item);
    return this.#items.delete(id);
  }

  /** The item as it is, without a call. */
  protected peek(id: string): Item | undefined {
    return this.#items.get(id);
  }

  #put(item: Item): void {
    const before = this.#items.get(item.id);
    this.#items.set(item.id, item);
    const [old, now] = [placesOf(before), placesOf(item)];
    const [was, is] = [before && placeOf(before), placeOf(item)];
    const moved = was?.at !== is.at;
    if (was) for (const index of old) if (moved || !now.includes(index)) this.#take(index, was);
    for (const index of now) {
      if (!moved && old.includes(index)) continue;
      const places = this.#places.get(index) ?? [];
      this.#places.set(index, places);
      places.splice(firstFrom(places, is), 0, is);
    }
  }

  #unindex(item: Item): void {
    for (const index of placesOf(item)) this.#take(index, placeOf(item));
  }

  #take(index: string, place: Place): void {
    const places = this.#places.get(index) ?? [];
    places.splice(firstFrom(places, place), 1);
  }

  override async count(index: IndexName, value: string): Promise<number> {
    this.calls.reads++;
    return this.#places.get(`${index} ${value}`)?.length ?? 0;
  }

  override async query<T>(
    index: IndexName,
    value: string,
    { limit = MOST_ON_PAGE, after, order, from = '', to = '9' }: PageOptions = {},
  ): Promise<Page<T>> {
    this.calls.reads++;
    const places = this.#places.get(`${index} ${value}`) ?? [];
    const count = Math.min(limit, MOST_ON_PAGE);
    const last = after && { at: String(after.createdAt), id: String(after.id) };
    let [start, end] = [firstFrom(places, { at: from, id: '' }), firstFrom(places, { at: to, id: LAST })];
    if (last && order === 'oldestFirst')
      start = Math.max(start, firstFrom(places, { at: last.at, id: `${last.id}\0` }));
    else if (last) end = Math.min(end, firstFrom(places, last));
    const found =
      order === 'oldestFirst'
        ? places.slice(start, Math.min(end, start + count))
        : places.slice(Math.max(start, end - count), Math.max(start, end)).reverse();
    const items = found.map(({ id }) => this.#items.get(id) as Item);
    const more = end - start > items.length && items.length > 0;
    return { items: items as T[], ...(more && { next: items.at(-1) as Item }) };
  }
}

/** Where an item is in an index: by its time, and among those of the same time by its key. */
interface Place {
  readonly at: string;
  readonly id: string;
}

/** Behind every id. */
const LAST = '\uffff';

const placeOf = (item: Item): Place => ({ at: at(item), id: item.id });

/** The index of the first place that is not before another. */
function firstFrom(places: readonly Place[], other: Place): number {
  let [low, high] = [0, places.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const { at, id } = places[middle] as Place;
    if (at < other.at || (at === other.at && id < other.id)) low = middle + 1;
    else high = middle;
  }
  return low;
}

const at = (item: Item): string => String(item.createdAt);

/** Where an item is in the indexes. */
function placesOf(item: Item | undefined): string[] {
  if (!item) return [];
  return Object.entries(TABLE.indexes)
    .filter(([, key]) => item[key] !== undefined)
    .map(([index, key]) => `${index} ${item[key]}`);
}

function added(value: unknown, more: Set<string> | number): Set<string> | number {
  if (typeof more === 'number') return Number(value ?? 0) + more;
  return new Set([...((value as Set<string> | undefined) ?? []), ...more]);
}

/** An item as the document client writes it: without what is undefined. */
function plain(item: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(item).filter(([, content]) => content !== undefined));
}
