import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { ConditionalCheckFailedException, type DynamoDBClient } from '@aws-sdk/client-dynamodb';
import {
  BatchGetCommand,
  DeleteCommand,
  DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  QueryCommand,
  UpdateCommand,
} from '@aws-sdk/lib-dynamodb';
import { XensnapError } from '../errors.ts';
import { type Change, expressionOf, WRITE_ID } from './expression.ts';

/**
 * The table's key and indexes; here and in the CDK stack. Every index is sorted by `createdAt` and holds keys alone: a
 * write that changes none of them costs nothing there.
 */
export const TABLE = {
  key: 'id',
  sortKey: 'createdAt',
  ttl: 'ttl',
  indexes: { byVm: 'vmKey', byStatus: 'status', byKind: 'kind', byOpen: 'open' },
} as const;

export type IndexName = keyof typeof TABLE.indexes;
type Item = Record<string, unknown>;

/** A page of a query: items, and where the next page starts. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next?: Record<string, unknown>;
}

/** Which page of an index. */
export interface PageOptions {
  /** At most {@link MOST_ON_PAGE}, which is also what a page has without it. */
  readonly limit?: number;
  /** The `next` of the page before. */
  readonly after?: Record<string, unknown>;
  /** By `createdAt`; the newest first unless said. */
  readonly order?: 'newestFirst' | 'oldestFirst';
  /** Bounds of `createdAt`, both included, as `toISOString` writes times. */
  readonly from?: string;
  readonly to?: string;
}

/** Items that BatchGetItem reads at a time. */
export const MOST_ON_PAGE = 100;
/** Tries of what a BatchGetItem leaves unread: some 6 s of pauses in the mean. */
const MOST_TRIES = 8;
const FIRST_PAUSE_MS = 50;

/**
 * Reads and single-item conditional writes; a condition that fails is an answer, not an error. A write whose reply was
 * lost, which the SDK sends again, is done once and answers as if nothing had been lost.
 */
export class Table {
  readonly #client: DynamoDBDocumentClient;
  readonly #name: string;
  readonly #pause: (milliseconds: number) => Promise<unknown>;

  constructor(
    client: DynamoDBClient,
    name: string,
    pause: (milliseconds: number) => Promise<unknown> = delay,
  ) {
    this.#client = DynamoDBDocumentClient.from(client, { marshallOptions: { removeUndefinedValues: true } });
    this.#name = name;
    this.#pause = pause;
  }

  async get<T>(id: string): Promise<T | undefined> {
    const { Item } = await this.#client.send(
      new GetCommand({ TableName: this.#name, Key: { id }, ConsistentRead: true }),
    );
    return withoutWriteId(Item) as T | undefined;
  }

  /** Writes a whole item if none with its id is there. Answers whether it did. */
  async create(item: Item & { id: string }): Promise<boolean> {
    const writeId = randomUUID();
    const put = new PutCommand({
      TableName: this.#name,
      Item: { ...item, [WRITE_ID]: writeId },
      ConditionExpression: 'attribute_not_exists(id)',
    });
    const { refused } = await unlessRefused(this.#client.send(put));
    return refused === undefined || (await this.#writtenBefore(refused, item.id, writeId)) !== undefined;
  }

  /** Changes one item, making it if need be; answers it as it then is, or undefined when `when` did not hold. */
  async change<T>(id: string, change: Change): Promise<T | undefined> {
    const writeId = randomUUID();
    const { answer, refused } = await unlessRefused(
      this.#client.send(
        new UpdateCommand({ TableName: this.#name, Key: { id }, ...expressionOf(change, writeId) }),
      ),
    );
    const item = refused ? await this.#writtenBefore(refused, id, writeId) : answer?.Attributes;
    return withoutWriteId(item) as T | undefined;
  }

  /** Removes an item when `attribute` has `value`; answers whether it did. */
  async remove(id: string, attribute: string, value: string): Promise<boolean> {
    const command = new DeleteCommand({
      TableName: this.#name,
      Key: { id },
      ConditionExpression: '#attribute = :value',
      ExpressionAttributeNames: { '#attribute': attribute },
      ExpressionAttributeValues: { ':value': value },
    });
    const { refused } = await unlessRefused(this.#client.send(command));
    if (refused === undefined) return true;
    // What is not there any more was removed by the try whose reply was lost, or by another in that very moment.
    return wasSentAgain(refused) && (await this.get(id)) === undefined;
  }

  /** The item, where a write of this id was done although the last try of it was refused. */
  async #writtenBefore(
    refused: ConditionalCheckFailedException,
    id: string,
    writeId: string,
  ): Promise<Item | undefined> {
    if (!wasSentAgain(refused)) return undefined;
    const { Item } = await this.#client.send(
      new GetCommand({ TableName: this.#name, Key: { id }, ConsistentRead: true }),
    );
    return Item?.[WRITE_ID] === writeId ? Item : undefined;
  }

  /**
   * One page of an index, its items read consistently. The index lags behind the table: an item that is gone meanwhile,
   * or has another value, is left out. A page without items is the last one.
   * @throws ServiceUnavailable when DynamoDB goes on leaving items unread
   */
  async query<T>(index: IndexName, value: string, options: PageOptions = {}): Promise<Page<T>> {
    let { after } = options;
    for (;;) {
      const { ids, next } = await this.#idsOf(index, value, { ...options, ...(after && { after }) });
      const found = await this.#getAll(ids);
      const current = ids.map((id) => found.get(id)).filter((item) => item?.[TABLE.indexes[index]] === value);
      if (current.length > 0 || !next) return { items: current as T[], ...(next && { next }) };
      after = next;
    }
  }

  /** How many items an index has of a value, give or take those that it lags behind by; of keys, some 10,000 a read. */
  async count(index: IndexName, value: string): Promise<number> {
    let counted = 0;
    let after: Record<string, unknown> | undefined;
    do {
      const { Count = 0, LastEvaluatedKey } = await this.#client.send(
        new QueryCommand({
          TableName: this.#name,
          IndexName: index,
          KeyConditionExpression: '#key = :key',
          ExpressionAttributeNames: { '#key': TABLE.indexes[index] },
          ExpressionAttributeValues: { ':key': value },
          Select: 'COUNT',
          ...(after && { ExclusiveStartKey: after }),
        }),
      );
      counted += Count;
      after = LastEvaluatedKey;
    } while (after);
    return counted;
  }

  async #idsOf(
    index: IndexName,
    value: string,
    { limit = MOST_ON_PAGE, after, order = 'newestFirst', from, to }: PageOptions,
  ): Promise<{ ids: readonly string[]; next?: Record<string, unknown> | undefined }> {
    // DynamoDB refuses a range that ends before it begins.
    if (from !== undefined && to !== undefined && from > to) return { ids: [] };
    const range =
      from !== undefined && to !== undefined
        ? ' AND #at BETWEEN :from AND :to'
        : `${from === undefined ? '' : ' AND #at >= :from'}${to === undefined ? '' : ' AND #at <= :to'}`;
    const { Items = [], LastEvaluatedKey } = await this.#client.send(
      new QueryCommand({
        TableName: this.#name,
        IndexName: index,
        KeyConditionExpression: `#key = :key${range}`,
        ExpressionAttributeNames: { '#key': TABLE.indexes[index], ...(range && { '#at': TABLE.sortKey }) },
        ExpressionAttributeValues: {
          ':key': value,
          ...(from !== undefined && { ':from': from }),
          ...(to !== undefined && { ':to': to }),
        },
        ScanIndexForward: order === 'oldestFirst',
        Limit: Math.min(limit, MOST_ON_PAGE),
        ...(after && { ExclusiveStartKey: after }),
      }),
    );
    return { ids: Items.map(({ id }) => id as string), next: LastEvaluatedKey };
  }

  /** The items of at most {@link MOST_ON_PAGE} ids, by id. */
  async #getAll(ids: readonly string[]): Promise<ReadonlyMap<string, Item>> {
    const found = new Map<string, Item>();
    let keys: Record<string, unknown>[] = ids.map((id) => ({ id }));
    for (let tries = 0; keys.length > 0; tries++) {
      if (tries === MOST_TRIES)
        throw new XensnapError('ServiceUnavailable', 'The table is asked for too much at once. Ask again.');
      if (tries > 0) await this.#pause(Math.random() * FIRST_PAUSE_MS * 2 ** tries);
      const { Responses, UnprocessedKeys } = await this.#client.send(
        new BatchGetCommand({ RequestItems: { [this.#name]: { Keys: keys, ConsistentRead: true } } }),
      );
      for (const item of Responses?.[this.#name] ?? []) found.set(item.id as string, withoutWriteId(item));
      keys = UnprocessedKeys?.[this.#name]?.Keys ?? [];
    }
    return found;
  }
}

/** Every item of an index, page by page. */
export async function* everyItem<T>(
  table: Table,
  index: IndexName,
  value: string,
  options: Omit<PageOptions, 'limit' | 'after'> = {},
): AsyncGenerator<T> {
  let after: Record<string, unknown> | undefined;
  do {
    const page = await table.query<T>(index, value, { ...options, ...(after && { after }) });
    yield* page.items;
    after = page.next;
  } while (after);
}

async function unlessRefused<T>(
  sent: Promise<T>,
): Promise<
  { answer: T; refused?: undefined } | { answer?: undefined; refused: ConditionalCheckFailedException }
> {
  try {
    return { answer: await sent };
  } catch (refused) {
    if (refused instanceof ConditionalCheckFailedException) return { refused };
    throw refused;
  }
}

function wasSentAgain({ $metadata }: ConditionalCheckFailedException): boolean {
  return ($metadata.attempts ?? 1) > 1;
}

function withoutWriteId<T extends Item | undefined>(item: T): T {
  if (item === undefined) return item;
  const { [WRITE_ID]: _, ...rest } = item;
  return rest as T;
}
