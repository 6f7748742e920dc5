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
  /** The items of each index and value. */
  readonly #indexed = new Map<string, Map<string, Item>>();
  /** The same, oldest first, from the first question on until something is written there. */
  readonly #sorted = new Map<string, readonly Item[]>();
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

  #put(item: Item): void {
    this.#unindex(this.#items.get(item.id));
    this.#items.set(item.id, item);
    for (const place of placesOf(item)) {
      const there = this.#indexed.get(place) ?? new Map<string, Item>();
      this.#indexed.set(place, there.set(item.id, item));
      this.#sorted.delete(place);
    }
  }

  #unindex(item: Item | undefined): void {
    for (const place of placesOf(item)) {
      this.#indexed.get(place)?.delete(item?.id ?? '');
      this.#sorted.delete(place);
    }
  }

  #oldestFirst(place: string): readonly Item[] {
    const sorted =
      this.#sorted.get(place) ??
      [...(this.#indexed.get(place)?.values() ?? [])].sort((a, b) =>
        at(a) < at(b) ? -1 : at(a) > at(b) ? 1 : 0,
      );
    this.#sorted.set(place, sorted);
    return sorted;
  }

  override async count(index: IndexName, value: string): Promise<number> {
    this.calls.reads++;
    return this.#indexed.get(`${index} ${value}`)?.size ?? 0;
  }

  override async query<T>(
    index: IndexName,
    value: string,
    { limit = MOST_ON_PAGE, after, order, from = '', to = '9' }: PageOptions = {},
  ): Promise<Page<T>> {
    this.calls.reads++;
    const oldestFirst = this.#oldestFirst(`${index} ${value}`).filter(
      (item) => at(item) >= from && at(item) <= to,
    );
    const sorted = order === 'oldestFirst' ? oldestFirst : oldestFirst.toReversed();
    const start = after ? sorted.findIndex(({ id }) => id === after.id) + 1 : 0;
    const items = sorted.slice(start, start + Math.min(limit, MOST_ON_PAGE));
    const last = items.at(-1);
    const more = last !== undefined && start + items.length < sorted.length;
    return { items: items as T[], ...(more && { next: last }) };
  }
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
