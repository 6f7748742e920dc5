import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  ConditionalCheckFailedException,
  CreateTableCommand,
  DeleteTableCommand,
  DescribeTableCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { expect, it, onTestFinished } from 'vitest';
import { LOCAL_AWS } from '../../../local/aws/in-process.ts';
import { startTable, type TableDefinition } from '../../../local/aws/table.ts';

const TableName = 'xensnap';
const definition: TableDefinition = {
  AttributeDefinitions: ['id', 'status', 'createdAt'].map((AttributeName) => ({
    AttributeName,
    AttributeType: 'S',
  })),
  KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
  GlobalSecondaryIndexes: [
    {
      IndexName: 'byStatus',
      KeySchema: [
        { AttributeName: 'status', KeyType: 'HASH' },
        { AttributeName: 'createdAt', KeyType: 'RANGE' },
      ],
      Projection: { ProjectionType: 'ALL' },
    },
  ],
};

async function aTable(dataDir?: string) {
  const table = await startTable({ tableName: TableName, definition, ...(dataDir && { dataDir }) });
  const client = new DynamoDBClient({ endpoint: table.endpoint, ...LOCAL_AWS });
  return {
    ...table,
    client,
    async stop() {
      client.destroy();
      await table.close();
    },
  };
}

async function aDataDir(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-table-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return join(folder, 'table');
}

it('tells of a table’s definition as it is now, on a disk too', async () => {
  const { client, stop } = await aTable(await aDataDir());
  onTestFinished(stop);
  const told = async () => (await client.send(new DescribeTableCommand({ TableName }))).Table;
  expect(await told()).toMatchObject({
    TableStatus: 'ACTIVE',
    GlobalSecondaryIndexes: [{ IndexName: 'byStatus' }],
  });
  await client.send(new DeleteTableCommand({ TableName }));
  await expect.poll(() => told().catch(({ name }) => name)).toBe('ResourceNotFoundException');
  const { KeySchema, AttributeDefinitions = [] } = definition;
  const other = { KeySchema, AttributeDefinitions: AttributeDefinitions.slice(0, 1) };
  await client.send(new CreateTableCommand({ TableName, BillingMode: 'PAY_PER_REQUEST', ...other }));
  await expect.poll(async () => (await told())?.TableStatus).toBe('ACTIVE');
  expect((await told())?.GlobalSecondaryIndexes).toBeUndefined();
});

it('lets one of fifty conditional puts win', async () => {
  const { client, stop } = await aTable();
  onTestFinished(stop);
  const put = (job: string) =>
    client.send(
      new PutItemCommand({
        TableName,
        Item: { id: { S: 'vm#pool#1' }, job: { S: job } },
        ConditionExpression: 'attribute_not_exists(id)',
      }),
    );
  const outcomes = await Promise.allSettled(Array.from({ length: 50 }, (_, n) => put(`job-${n}`)));
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  for (const outcome of outcomes)
    if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(ConditionalCheckFailedException);
});

it('lets exactly as many holders into a set as its limit has, and a holder in again', async () => {
  const { client, stop } = await aTable();
  onTestFinished(stop);
  const add = (job: string) =>
    client.send(
      new UpdateItemCommand({
        TableName,
        Key: { id: { S: 'host#pool#1' } },
        UpdateExpression: 'ADD holders :jobs',
        ConditionExpression:
          'attribute_not_exists(holders) OR size(holders) < :limit OR contains(holders, :job)',
        ExpressionAttributeValues: { ':jobs': { SS: [job] }, ':job': { S: job }, ':limit': { N: '3' } },
      }),
    );
  const jobs = Array.from({ length: 20 }, (_, n) => `job-${n}`);
  const outcomes = await Promise.allSettled(jobs.map(add));
  const holders = jobs.filter((_job, n) => outcomes[n]?.status === 'fulfilled');
  expect(holders).toHaveLength(3);
  await add(String(holders[0]));
  const key = { id: { S: 'host#pool#1' } };
  const { Item } = await client.send(new GetItemCommand({ TableName, Key: key, ConsistentRead: true }));
  expect(Item?.holders?.SS?.toSorted()).toEqual(holders.toSorted());
});

it('finds items by an index, in its order, page by page', async () => {
  const { client, stop } = await aTable();
  onTestFinished(stop);
  for (const n of [3, 1, 2, 4])
    await client.send(
      new PutItemCommand({
        TableName,
        Item: {
          id: { S: `job#${n}` },
          status: { S: n < 4 ? 'running' : 'failed' },
          createdAt: { S: `${n}` },
        },
      }),
    );
  const query = (more: object) =>
    client.send(
      new QueryCommand({
        TableName,
        IndexName: 'byStatus',
        KeyConditionExpression: '#status = :status',
        ExpressionAttributeNames: { '#status': 'status' },
        ExpressionAttributeValues: { ':status': { S: 'running' } },
        ScanIndexForward: false,
        Limit: 2,
        ...more,
      }),
    );
  const first = await query({});
  const second = await query({ ExclusiveStartKey: first.LastEvaluatedKey });
  expect([...(first.Items ?? []), ...(second.Items ?? [])].map(({ id }) => id?.S)).toEqual([
    'job#3',
    'job#2',
    'job#1',
  ]);
});

it('keeps its items over a restart with the same folder', async () => {
  const dataDir = await aDataDir();
  const before = await aTable(dataDir);
  const Item = { id: { S: 'job#1' }, status: { S: 'running' }, createdAt: { S: '1' } };
  await before.client.send(new PutItemCommand({ TableName, Item }));
  await before.stop();
  const after = await aTable(dataDir);
  onTestFinished(after.stop);
  const found = await after.client.send(new GetItemCommand({ TableName, Key: { id: { S: 'job#1' } } }));
  expect(found.Item).toEqual(Item);
});

it('says in one line that another service works with the folder', async () => {
  const dataDir = await aDataDir();
  const { stop } = await aTable(dataDir);
  await expect(aTable(dataDir)).rejects.toThrow(`The data folder ${dataDir} is in use by another xensnap`);
  await stop();
});

it('answers what it is asked before it closes, also where nobody waits for that any more', async () => {
  const { client, close } = await aTable();
  const put = (id: number) =>
    client.send(new PutItemCommand({ TableName, Item: { id: { S: String(id) }, n: { N: '1' } } }));
  const all = Array.from({ length: 40 }, (_, id) => put(id).then(() => 'put', String));
  // Some are with the table, and some are on their way.
  await all[0];
  client.destroy();
  await close();
  const refused = await Promise.all(all);
  expect(refused.filter((answer) => answer === 'put').length).toBeGreaterThan(0);
});
