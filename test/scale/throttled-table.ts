import type { Change } from '../../functions/store/expression.ts';
import { type IndexName, type Page, type PageOptions, TABLE } from '../../functions/store/table.ts';
import { MemoryTable } from './memory-table.ts';
import { type Need, need, PARTITION_READS, PARTITION_WRITES, type Quotas } from './quotas.ts';
import type { Timeline } from './timeline.ts';

/** What one call takes, from a function in the same region; and one of BatchGetItem for a page of items. */
const CALL_SECONDS = 0.005;
const BATCH_SECONDS = 0.015;
type Item = Readonly<Record<string, unknown>>;

/**
 * The memory's table as DynamoDB throttles it: each call takes its time, and units of the table and of the partitions that
 * it meets. All items of one value of an index are one partition there. A job's record counts as 2 KB, every other as 1.
 */
export class ThrottledTable extends MemoryTable {
  readonly #time: Timeline;
  readonly #quotas: Quotas;

  constructor(time: Timeline, quotas: Quotas) {
    super();
    this.#time = time;
    this.#quotas = quotas;
  }

  override async get<T>(id: string): Promise<T | undefined> {
    await this.#use([
      need('table reads'),
      { name: 'reads of single items', key: `read ${id}`, quota: PARTITION_READS, count: 1 },
    ]);
    return super.get<T>(id);
  }

  override async create(item: Item & { id: string }): Promise<boolean> {
    await this.#use(writeOf(item.id, this.peek(item.id), item));
    return super.create(item);
  }

  override async change<T>(id: string, change: Change): Promise<T | undefined> {
    const before = this.peek(id);
    const after = { ...before, ...change.set };
    for (const name of change.remove ?? []) delete (after as Record<string, unknown>)[name];
    await this.#use(writeOf(id, before, after));
    return super.change<T>(id, change);
  }

  override async remove(id: string, attribute: string, value: string): Promise<boolean> {
    await this.#use(writeOf(id, this.peek(id), undefined));
    return super.remove(id, attribute, value);
  }

  override async count(index: IndexName, value: string): Promise<number> {
    await this.#use([indexRead(index, value, 1)]);
    return super.count(index, value);
  }

  /** A page of keys, and then its items in one call. */
  override async query<T>(index: IndexName, value: string, options: PageOptions = {}): Promise<Page<T>> {
    await this.#use([indexRead(index, value, 2)]);
    const page = await super.query<T>(index, value, options);
    if (page.items.length > 0) await this.#use([need('table reads', page.items.length)], BATCH_SECONDS);
    return page;
  }

  async #use(needs: readonly Need[], seconds = CALL_SECONDS): Promise<void> {
    await this.#time.sleep(seconds);
    await this.#quotas.call(needs);
  }
}

function writeOf(id: string, before: Item | undefined, after: Item | undefined): Need[] {
  const count = id.startsWith('job#') ? 2 : 1;
  // An index takes a write where its own keys change: one for what goes, and one for what comes.
  const [old, now] = [indexesOf(before), indexesOf(after)];
  const isMoved = before?.[TABLE.sortKey] !== after?.[TABLE.sortKey];
  const values = [
    ...old.filter((value) => isMoved || !now.includes(value)),
    ...now.filter((value) => isMoved || !old.includes(value)),
  ];
  return [
    need('table writes', count),
    { name: 'writes of items', key: `write ${id}`, quota: PARTITION_WRITES, count },
    ...values.map((value) => ({
      ...{ name: 'writes of index keys', key: `write ${value}` },
      ...{ quota: PARTITION_WRITES, count: 1 },
    })),
  ];
}

function indexesOf(item: Item | undefined): string[] {
  if (!item) return [];
  return Object.entries(TABLE.indexes).flatMap(([index, key]) =>
    item[key] === undefined ? [] : [`${index} ${item[key]}`],
  );
}

function indexRead(index: string, value: string, count: number): Need {
  return {
    name: 'reads of index keys',
    key: `read ${index} ${value}`,
    quota: PARTITION_READS,
    count,
  };
}
