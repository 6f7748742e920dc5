import { ConditionalCheckFailedException, type DynamoDBClient } from '@aws-sdk/client-dynamodb';
import {
  DeleteCommand,
  DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  QueryCommand,
  UpdateCommand,
} from '@aws-sdk/lib-dynamodb';

/** The table's key and indexes; here and in the CDK stack. Every index is sorted by `createdAt`. */
export const TABLE = {
  key: 'id',
  sortKey: 'createdAt',
  ttl: 'ttl',
  indexes: { byVm: 'vmKey', byStatus: 'status', byKind: 'kind', byOpen: 'open' },
} as const;

export type IndexName = keyof typeof TABLE.indexes;
type Item = Record<string, unknown>;

/** One conditional write to one item. Keys are attribute names; `when` may use `#name` and `:value` of them. */
export interface Change {
  set?: Item;
  remove?: readonly string[];
  add?: Record<string, Set<string> | number>;
  take?: Record<string, Set<string>>;
  append?: Record<string, readonly unknown[]>;
  when?: string;
  /** Values that only `when` uses, by placeholder without the colon. */
  values?: Item;
  /** Attribute names that only `when` uses. */
  names?: readonly string[];
}

/** A page of a query: items, and where the next page starts. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next?: Record<string, unknown>;
}

/** Reads and single-item conditional writes; a condition that fails is an answer, not an error. */
export class Table {
  readonly #client: DynamoDBDocumentClient;
  readonly #name: string;

  constructor(client: DynamoDBClient, name: string) {
    this.#client = DynamoDBDocumentClient.from(client, { marshallOptions: { removeUndefinedValues: true } });
    this.#name = name;
  }

  async get<T>(id: string): Promise<T | undefined> {
    const { Item } = await this.#client.send(
      new GetCommand({ TableName: this.#name, Key: { id }, ConsistentRead: true }),
    );
    return Item as T | undefined;
  }

  /** Writes a whole item if none with its id is there. Answers whether it did. */
  async create(item: Item & { id: string }): Promise<boolean> {
    const put = new PutCommand({
      TableName: this.#name,
      Item: item,
      ConditionExpression: 'attribute_not_exists(id)',
    });
    return (await unlessRefused(this.#client.send(put))) !== undefined;
  }

  /** Changes one item, making it if need be; answers it as it then is, or undefined when `when` did not hold. */
  async change<T>(id: string, change: Change): Promise<T | undefined> {
    const answer = await unlessRefused(
      this.#client.send(new UpdateCommand({ TableName: this.#name, Key: { id }, ...expressionOf(change) })),
    );
    return answer?.Attributes as T | undefined;
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
    return (await unlessRefused(this.#client.send(command))) !== undefined;
  }

  /** One page of an index, newest first. */
  async query<T>(
    index: IndexName,
    value: string,
    options: { limit?: number; after?: Record<string, unknown> } = {},
  ): Promise<Page<T>> {
    const { Items = [], LastEvaluatedKey } = await this.#client.send(
      new QueryCommand({
        TableName: this.#name,
        IndexName: index,
        KeyConditionExpression: '#key = :key',
        ExpressionAttributeNames: { '#key': TABLE.indexes[index] },
        ExpressionAttributeValues: { ':key': value },
        ScanIndexForward: false,
        ...(options.limit !== undefined && { Limit: options.limit }),
        ...(options.after && { ExclusiveStartKey: options.after }),
      }),
    );
    return { items: Items as T[], ...(LastEvaluatedKey && { next: LastEvaluatedKey }) };
  }
}

function expressionOf(change: Change) {
  const names: Record<string, string> = {};
  const values = Object.fromEntries(present(change.values).map(([key, content]) => [`:${key}`, content]));
  const name = (attribute: string) => {
    names[`#${attribute}`] = attribute;
    return `#${attribute}`;
  };
  const value = (attribute: string, content: unknown) => {
    values[`:${attribute}`] = content;
    return `:${attribute}`;
  };
  for (const attribute of change.names ?? []) name(attribute);
  const sets = [
    ...present(change.set).map(([key, content]) => `${name(key)} = ${value(key, content)}`),
    ...present(change.append).map(
      ([key, content]) =>
        `${name(key)} = list_append(if_not_exists(${name(key)}, :none), ${value(key, content)})`,
    ),
  ];
  if (change.append) values[':none'] = [];
  const clauses = [
    clause('SET', sets),
    clause('REMOVE', (change.remove ?? []).map(name)),
    clause(
      'ADD',
      present(change.add).map(([key, content]) => `${name(key)} ${value(key, content)}`),
    ),
    clause(
      'DELETE',
      present(change.take).map(([key, content]) => `${name(key)} ${value(key, content)}`),
    ),
  ].filter((text) => text !== '');
  return {
    UpdateExpression: clauses.join(' '),
    ...(change.when && { ConditionExpression: change.when }),
    ...(Object.keys(names).length > 0 && { ExpressionAttributeNames: names }),
    ...(Object.keys(values).length > 0 && { ExpressionAttributeValues: values }),
    ReturnValues: 'ALL_NEW' as const,
  };
}

function present(record: object | undefined): [string, unknown][] {
  return Object.entries(record ?? {}).filter(([, content]) => content !== undefined);
}

function clause(word: string, parts: readonly string[]): string {
  return parts.length > 0 ? `${word} ${parts.join(', ')}` : '';
}

async function unlessRefused<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ConditionalCheckFailedException) return undefined;
    throw error;
  }
}
