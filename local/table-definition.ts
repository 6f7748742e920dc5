import { TABLE } from '../functions/store/table.ts';
import type { TableDefinition } from './aws/table.ts';

/** The table with its indexes, as CreateTable wants it. */
export function tableDefinition(): TableDefinition {
  const indexes = Object.entries(TABLE.indexes);
  const attributes = [TABLE.key, TABLE.sortKey, ...indexes.map(([, key]) => key)];
  return {
    KeySchema: [{ AttributeName: TABLE.key, KeyType: 'HASH' }],
    AttributeDefinitions: attributes.map((name) => ({ AttributeName: name, AttributeType: 'S' })),
    GlobalSecondaryIndexes: indexes.map(([name, key]) => ({
      IndexName: name,
      KeySchema: [
        { AttributeName: key, KeyType: 'HASH' },
        { AttributeName: TABLE.sortKey, KeyType: 'RANGE' },
      ],
      Projection: { ProjectionType: 'KEYS_ONLY' },
    })),
  };
}
