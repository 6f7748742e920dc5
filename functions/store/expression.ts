/** One conditional write to one item. Keys are attribute names; `when` may use `#name` and `:value` of them. */
export interface Change {
  set?: Record<string, unknown>;
  remove?: readonly string[];
  add?: Record<string, Set<string> | number>;
  take?: Record<string, Set<string>>;
  append?: Record<string, readonly unknown[]>;
  when?: string;
  /** Values that only `when` uses, by placeholder without the colon. */
  values?: Record<string, unknown>;
  /** Attribute names that only `when` uses. */
  names?: readonly string[];
}

/** The attribute that says which write was the last to an item; see {@link expressionOf}. */
export const WRITE_ID = 'writeId';

/**
 * The change as DynamoDB's UpdateItem takes it.
 * @param writeId random, of this write alone. The SDK sends a write again whose reply was lost: the second is refused
 *   then, whatever it would do, and whoever finds the id in the item knows that the first was done
 */
export function expressionOf(change: Change, writeId: string) {
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
  const isFirst = `attribute_not_exists(${name(WRITE_ID)}) OR #${WRITE_ID} <> :${WRITE_ID}`;
  const sets = [
    `#${WRITE_ID} = ${value(WRITE_ID, writeId)}`,
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
    ConditionExpression: change.when === undefined ? isFirst : both(isFirst, change.when),
    ExpressionAttributeNames: names,
    ExpressionAttributeValues: values,
    ReturnValues: 'ALL_NEW' as const,
  };
}

/**
 * That both conditions hold. Parentheses are only where they are needed: dynalite's parser takes four times as long for
 * each pair, which was 9 ms for a write of a step.
 */
export function both(one: string, other: string): string {
  return [one, other].map((each) => (each.includes(' OR ') ? `(${each})` : each)).join(' AND ');
}

function present(record: object | undefined): [string, unknown][] {
  return Object.entries(record ?? {}).filter(([, content]) => content !== undefined);
}

function clause(word: string, parts: readonly string[]): string {
  return parts.length > 0 ? `${word} ${parts.join(', ')}` : '';
}
