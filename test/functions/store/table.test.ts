import { ConditionalCheckFailedException, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import {
  BatchGetCommand,
  DeleteCommand,
  DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  QueryCommand,
  UpdateCommand,
} from '@aws-sdk/lib-dynamodb';
import { allCustomMatcher } from 'aws-sdk-client-mock-vitest';
import { beforeEach, expect, it } from 'vitest';
import { Table } from '../../../functions/store/table.ts';
import { mockedClass } from '../../support/mocked-aws.ts';
import 'aws-sdk-client-mock-vitest/extend';

expect.extend(allCustomMatcher);

const dynamo = mockedClass(DynamoDBDocumentClient);
const pauses: number[] = [];
const table = new Table(new DynamoDBClient({ region: 'us-east-1' }), 'jobs', async (milliseconds) =>
  pauses.push(milliseconds),
);
const anItem = (id: string, status = 'queued') => ({ id, status });
const keys = (...ids: string[]) => ids.map((id) => ({ id }));
const asked = (...ids: string[]) => ({
  RequestItems: { jobs: { Keys: keys(...ids), ConsistentRead: true } },
});

beforeEach(() => {
  dynamo.reset();
  pauses.length = 0;
});

it('reads the items of an index consistently, in the order of the index', async () => {
  dynamo.on(QueryCommand).resolves({ Items: keys('a', 'b', 'c'), LastEvaluatedKey: { id: 'c' } });
  dynamo.on(BatchGetCommand).resolves({ Responses: { jobs: [anItem('c'), anItem('a'), anItem('b')] } });
  const page = await table.query('byStatus', 'queued', { limit: 3 });
  expect(page).toEqual({ items: [anItem('a'), anItem('b'), anItem('c')], next: { id: 'c' } });
  expect(dynamo).toHaveReceivedCommandExactlyOnceWith(BatchGetCommand, asked('a', 'b', 'c'));
});

it('asks for no item when the index has none', async () => {
  dynamo.on(QueryCommand).resolves({});
  expect(await table.query('byStatus', 'queued')).toEqual({ items: [] });
  expect(dynamo).not.toHaveReceivedCommand(BatchGetCommand);
});

it('leaves out an item that is gone meanwhile, and one that has another value', async () => {
  dynamo.on(QueryCommand).resolves({ Items: keys('gone', 'moved', 'there') });
  dynamo.on(BatchGetCommand).resolves({ Responses: { jobs: [anItem('moved', 'running'), anItem('there')] } });
  expect(await table.query('byStatus', 'queued')).toEqual({ items: [anItem('there')] });
});

it('goes on to the next page where nothing of one is left', async () => {
  dynamo.on(QueryCommand).resolvesOnce({ Items: keys('gone'), LastEvaluatedKey: { id: 'gone' } });
  dynamo.on(QueryCommand, { ExclusiveStartKey: { id: 'gone' } }).resolves({ Items: keys('there') });
  dynamo
    .on(BatchGetCommand)
    .resolvesOnce({})
    .resolves({ Responses: { jobs: [anItem('there')] } });
  expect(await table.query('byStatus', 'queued', { limit: 1 })).toEqual({ items: [anItem('there')] });
});

it('asks again, later each time, for what was left unread', async () => {
  dynamo.on(QueryCommand).resolves({ Items: keys('a', 'b', 'c') });
  dynamo
    .on(BatchGetCommand)
    .resolvesOnce({
      Responses: { jobs: [anItem('b')] },
      UnprocessedKeys: { jobs: { Keys: keys('a', 'c') } },
    })
    .resolvesOnce({ UnprocessedKeys: { jobs: { Keys: keys('a', 'c') } } })
    .resolves({ Responses: { jobs: [anItem('c'), anItem('a')] } });
  const { items } = await table.query('byStatus', 'queued');
  expect(items).toEqual([anItem('a'), anItem('b'), anItem('c')]);
  expect(dynamo.commandCalls(BatchGetCommand).map(({ args }) => args[0].input)).toEqual([
    asked('a', 'b', 'c'),
    asked('a', 'c'),
    asked('a', 'c'),
  ]);
  expect(pauses).toHaveLength(2);
});

it('gives up what is never read, and says when to ask again', async () => {
  dynamo.on(QueryCommand).resolves({ Items: keys('a') });
  dynamo.on(BatchGetCommand).resolves({ UnprocessedKeys: { jobs: { Keys: keys('a') } } });
  await expect(table.query('byStatus', 'queued')).rejects.toMatchObject({ name: 'ServiceUnavailable' });
  expect(dynamo).toHaveReceivedCommandTimes(BatchGetCommand, 8);
  expect(pauses.every((milliseconds) => milliseconds <= 50 * 2 ** 7)).toBe(true);
});

it.each([
  [{}, '#key = :key', false, 100],
  [{ order: 'oldestFirst', limit: 7 }, '#key = :key', true, 7],
  [{ from: 'a', limit: 500 }, '#key = :key AND #at >= :from', false, 100],
  [{ to: 'b' }, '#key = :key AND #at <= :to', false, 100],
  [{ from: 'a', to: 'b' }, '#key = :key AND #at BETWEEN :from AND :to', false, 100],
] as const)('asks an index for the page %j', async (options, condition, forward, limit) => {
  dynamo.on(QueryCommand).resolves({});
  await table.query('byVm', 'demo#vm', options);
  expect(dynamo).toHaveReceivedCommandExactlyOnceWith(QueryCommand, {
    IndexName: 'byVm',
    KeyConditionExpression: condition,
    ScanIndexForward: forward,
    Limit: limit,
  });
});

it('answers a range that ends before it begins by itself, which DynamoDB would refuse', async () => {
  expect(await table.query('byVm', 'demo#vm', { from: 'b', to: 'a' })).toEqual({ items: [] });
  expect(dynamo).not.toHaveReceivedAnyCommand();
});

const refused = new ConditionalCheckFailedException({ message: 'x', $metadata: {} });

it('takes a condition that does not hold for an answer', async () => {
  dynamo.onAnyCommand().rejects(refused);
  expect(await table.create({ id: 'a' })).toBe(false);
  expect(await table.change('a', { set: { b: 1 }, when: 'attribute_exists(id)' })).toBeUndefined();
  expect(await table.remove('a', 'job', 'j')).toBe(false);
});

it.each(['ProvisionedThroughputExceededException', 'ThrottlingException', 'RequestLimitExceeded'])(
  'passes %s on, whatever was asked',
  async (name) => {
    dynamo.onAnyCommand().rejects(Object.assign(new Error('slow down'), { name }));
    const calls = [
      table.get('a'),
      table.create({ id: 'a' }),
      table.change('a', { set: { b: 1 } }),
      table.remove('a', 'job', 'j'),
      table.query('byOpen', 'open'),
    ];
    for (const call of calls) await expect(call).rejects.toMatchObject({ name });
    for (const command of [GetCommand, PutCommand, UpdateCommand, DeleteCommand, QueryCommand])
      expect(dynamo).toHaveReceivedCommandTimes(command as never, 1);
  },
);

it('passes on what goes wrong while it reads the items of an index', async () => {
  dynamo.on(QueryCommand).resolves({ Items: keys('a') });
  dynamo.on(BatchGetCommand).rejects(Object.assign(new Error('slow down'), { name: 'ThrottlingException' }));
  await expect(table.query('byOpen', 'open')).rejects.toMatchObject({ name: 'ThrottlingException' });
});
