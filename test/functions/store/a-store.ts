import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll } from 'vitest';
import type { RestoreJob, SnapshotJob } from '../../../functions/job.ts';
import { createStore, type Store } from '../../../functions/store.ts';
import { LOCAL_AWS } from '../../../local/aws/in-process.ts';
import { startTable } from '../../../local/aws/table.ts';
import { tableDefinition } from '../../../local/table-definition.ts';
import type { FactName } from '../../../statemachine/contract.ts';
import { aJob, aRestore } from '../api/a-job.ts';

/** A store on a real table of the file's own. Filled before the first test; its `client` too. */
export function storeOfFile(): { store: Store<FactName>; client: DynamoDBClient } {
  const parts = {} as { store: Store<FactName>; client: DynamoDBClient };
  let close = async () => {};
  beforeAll(async () => {
    const table = await startTable({ tableName: 'xensnap', definition: tableDefinition() });
    parts.client = new DynamoDBClient({ ...LOCAL_AWS, endpoint: table.endpoint });
    parts.store = createStore(parts.client, 'xensnap');
    close = async () => {
      parts.client.destroy();
      await table.close();
    };
  });
  afterAll(() => close());
  return parts;
}

/** Writes a new job; answers its id. */
export async function newJob({ jobs }: Store, fields: Partial<SnapshotJob> = {}): Promise<string> {
  const job = aJob({ status: 'starting', phase: 'Requested', ...fields });
  await jobs.create(job);
  return job.id;
}

/** Writes a new restore; answers its id. */
export async function newRestore({ jobs }: Store, fields: Partial<RestoreJob> = {}): Promise<string> {
  const job = aRestore({ status: 'starting', phase: 'Requested', ...fields });
  await jobs.create(job);
  return job.id;
}

/** Does the same many times at once; answers what came of each. */
export function atOnce<T>(times: number, act: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: times }, (_, index) => act(index)));
}

export const NOW = new Date('2026-05-05T12:00:00Z');
export const later = (seconds: number) => new Date(NOW.getTime() + seconds * 1000);

/** An outcome as a step tells it. */
export const anOutcome = { status: 'failed', finishedAt: NOW, ttl: 1_800_000_000 } as const;
