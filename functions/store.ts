import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { Jobs } from './store/jobs.ts';
import { Leases } from './store/leases.ts';
import { Pools } from './store/pools.ts';
import { Slots } from './store/slots.ts';
import { Table } from './store/table.ts';

/** The table: the only memory that outlives a Lambda. Its parts are the only users of DynamoDB. */
export interface Store {
  readonly jobs: Jobs;
  readonly leases: Leases;
  readonly slots: Slots;
  readonly pools: Pools;
}

export function createStore(client: DynamoDBClient, tableName: string): Store {
  const table = new Table(client, tableName);
  return {
    jobs: new Jobs(table),
    leases: new Leases(table),
    slots: new Slots(table),
    pools: new Pools(table),
  };
}
