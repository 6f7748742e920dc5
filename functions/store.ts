import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { FactName } from '../statemachine/contract.ts';
import { Backups } from './store/backups.ts';
import { Counters } from './store/counters.ts';
import { JanitorReports } from './store/janitor-reports.ts';
import { Jobs } from './store/jobs.ts';
import { Leases } from './store/leases.ts';
import { Pools } from './store/pools.ts';
import { Runs } from './store/runs.ts';
import { Schedules } from './store/schedules.ts';
import { Table } from './store/table.ts';

/** The table: the only memory that outlives a Lambda. Its parts are the only users of DynamoDB. */
export interface Store<in F extends FactName = never> {
  /** Where a job's facts are written, as far as `F` says which. */
  readonly jobs: Jobs<F>;
  readonly leases: Leases;
  readonly counters: Counters;
  readonly pools: Pools;
  readonly janitorReports: JanitorReports;
  readonly schedules: Schedules;
  readonly runs: Runs;
  readonly backups: Backups;
}

export function createStore(client: DynamoDBClient, tableName: string): Store<FactName> {
  return storeIn(new Table(client, tableName));
}

/** The store in a table that is there already. */
export function storeIn(table: Table): Store<FactName> {
  return {
    jobs: new Jobs(table),
    leases: new Leases(table),
    counters: new Counters(table),
    pools: new Pools(table),
    janitorReports: new JanitorReports(table),
    schedules: new Schedules(table),
    runs: new Runs(table),
    backups: new Backups(table),
  };
}
