import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import {
  GetSecretValueCommand,
  ResourceNotFoundException,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import {
  DescribeExecutionCommand,
  ListExecutionsCommand,
  SendTaskSuccessCommand,
  SFNClient,
} from '@aws-sdk/client-sfn';
import { SQSClient } from '@aws-sdk/client-sqs';
import {
  BatchGetCommand,
  DynamoDBDocumentClient,
  GetCommand,
  QueryCommand,
  UpdateCommand,
} from '@aws-sdk/lib-dynamodb';
import { allCustomMatcher } from 'aws-sdk-client-mock-vitest';
import { beforeEach, expect, it } from 'vitest';
import { asLambdas } from '../support/as-lambda.ts';
import { mockedClass } from '../support/mocked-aws.ts';
import { aJob } from './api/a-job.ts';
import { aRecord } from './queue/an-admission.ts';
import 'aws-sdk-client-mock-vitest/extend';

expect.extend(allCustomMatcher);

// The Lambdas as AWS calls them: with nothing but an event and their environment.
const dynamo = mockedClass(DynamoDBDocumentClient);
const sfn = mockedClass(SFNClient);
const sqs = mockedClass(SQSClient);
const secrets = mockedClass(SecretsManagerClient);

const config = {
  installation: 'test',
  pools: [{ name: 'demo', driver: 'libvirt', addresses: ['http://127.0.0.1:9'], secretId: 'pool' }],
  glance: { url: 'http://127.0.0.1:9' },
};
const lambdas = asLambdas(
  {
    AWS_REGION: 'us-east-1',
    XENSNAP_CONFIG: JSON.stringify(config),
    XENSNAP_TABLE: 'xensnap',
    XENSNAP_QUEUE_URL: 'https://sqs.us-east-1.amazonaws.com/123456789012/xensnap.fifo',
    XENSNAP_STATE_MACHINE_ARN: 'arn:aws:states:us-east-1:123456789012:stateMachine:xensnap',
    XENSNAP_RESTORE_MACHINE_ARN: 'arn:aws:states:us-east-1:123456789012:stateMachine:xensnap-restore',
  },
  async () => ({
    janitor: (await import('../../functions/janitor.ts')).handler,
    admit: (await import('../../functions/queue/admit.ts')).handler,
    reconcile: (await import('../../functions/reconcile.ts')).handler,
    takeVm: (await import('../../functions/steps/TakeVm.ts')).handler,
  }),
);
beforeEach(() => {
  for (const mock of [dynamo, sfn, sqs, secrets]) mock.reset();
});

const throttled = Object.assign(new Error('slow down'), { name: 'ThrottlingException' });
const refused = new ConditionalCheckFailedException({ message: 'x', $metadata: {} });
const job = aJob({ id: 'job1', open: 'open' });
const stored = { ...job, id: 'job#job1', kind: 'job' };
const ended = { detail: { name: 'job1', status: 'FAILED' } } as Parameters<typeof lambdas.reconcile>[0];
/** Updates of one item, by what they write beside the write's own id. */
const updates = () =>
  dynamo
    .commandCalls(UpdateCommand)
    .map(({ args }) =>
      args[0].input.UpdateExpression?.replace(/#writeId = :writeId,? ?/, '').replace('SET REMOVE', 'REMOVE'),
    );
const unclaimed = expect.stringMatching(/^REMOVE #claimedBy/);

it('leaves a job alone that still runs, and gives the claim back', async () => {
  dynamo.on(UpdateCommand).resolves({ Attributes: stored });
  sfn.on(DescribeExecutionCommand).resolves({ status: 'RUNNING' });
  await lambdas.reconcile(ended);
  expect(updates()).toEqual([expect.stringMatching(/^SET #claimedBy/), unclaimed]);
  expect(sfn).toHaveReceivedCommandExactlyOnceWith(DescribeExecutionCommand, {
    executionArn: 'arn:aws:states:us-east-1:123456789012:execution:xensnap:job1',
  });
});

it('does nothing where the same event has come twice and another has the claim', async () => {
  dynamo.on(UpdateCommand).rejects(refused);
  await lambdas.reconcile(ended);
  expect(updates()).toHaveLength(1);
  expect(sfn).not.toHaveReceivedAnyCommand();
});

it('has nothing to do for a job that is settled', async () => {
  const { open: _, ...settled } = stored;
  dynamo.on(UpdateCommand).resolves({ Attributes: settled });
  await lambdas.reconcile(ended);
  expect(updates()).toEqual([expect.stringMatching(/^SET #claimedBy/), unclaimed]);
  expect(sfn).not.toHaveReceivedAnyCommand();
});

it('fails while something is owed that cannot be paid yet, so that the event comes again', async () => {
  const owing = { ...stored, debts: new Set(['relock']), finishedAt: '2026-01-01T00:00:00.000Z' };
  dynamo.on(UpdateCommand).resolves({ Attributes: owing }).on(GetCommand).resolves({ Item: owing });
  sfn.on(DescribeExecutionCommand).resolves({ status: 'FAILED' });
  secrets.on(GetSecretValueCommand).rejects(new ResourceNotFoundException({ message: 'x', $metadata: {} }));
  await expect(lambdas.reconcile(ended)).rejects.toMatchObject({
    name: 'StillOwed',
    message: 'Job job1 still owes relock.',
  });
  expect(updates().at(-1)).toEqual(unclaimed);
});

it('fails where Step Functions does not say how the execution stands, so that the event comes again', async () => {
  dynamo.on(UpdateCommand).resolves({ Attributes: stored });
  sfn.on(DescribeExecutionCommand).rejects(throttled);
  await expect(lambdas.reconcile(ended)).rejects.toBe(throttled);
  expect(updates().at(-1)).toEqual(unclaimed);
});

it('fails where the table takes no claim', async () => {
  dynamo.on(UpdateCommand).rejects(throttled);
  await expect(lambdas.reconcile(ended)).rejects.toBe(throttled);
  expect(sfn).not.toHaveReceivedAnyCommand();
});

/** What the janitor's round has left in the table. */
const kept = () => dynamo.commandCalls(UpdateCommand, { Key: { id: 'janitor#last' } }).length;

it('goes on with its round past a job on which AWS gives no answer, and keeps the report', async () => {
  dynamo.on(QueryCommand).resolves({ Items: [{ id: stored.id }] });
  dynamo.on(GetCommand).resolves({});
  dynamo.on(BatchGetCommand).resolves({ Responses: { xensnap: [stored] } });
  dynamo.on(UpdateCommand).resolves({ Attributes: stored });
  sfn.on(DescribeExecutionCommand).rejects(throttled);
  sfn.on(ListExecutionsCommand).resolves({ executions: [] });
  expect(await lambdas.janitor()).toEqual({ findings: 2, wake: [] });
  const [report] = dynamo
    .commandCalls(UpdateCommand, { Key: { id: 'janitor#last' } })
    .map(({ args }) => args[0].input.ExpressionAttributeValues);
  expect(report?.[':findings']).toEqual([
    {
      kind: 'job',
      pool: 'demo',
      id: 'job1',
      what: expect.stringContaining('ThrottlingException'),
      action: 'failed',
    },
    expect.objectContaining({ kind: 'image', action: 'failed' }),
  ]);
});

it('fails where the table does not tell the open jobs, so that the round is tried again', async () => {
  dynamo.on(QueryCommand).rejects(throttled);
  await expect(lambdas.janitor()).rejects.toBe(throttled);
  expect(kept()).toBe(0);
});

it('fails where it cannot keep its report', async () => {
  dynamo.on(QueryCommand).resolves({}).on(GetCommand).resolves({});
  dynamo.on(UpdateCommand).rejects(throttled);
  await expect(lambdas.janitor()).rejects.toBe(throttled);
});

const ticket = { jobId: 'job1', ticket: 't', group: 'demo/h1', taskToken: 'token' };

it('admits a message with the queue and the state machine of its environment', async () => {
  dynamo.on(GetCommand).resolves({ Item: { ...stored, ticket: 't' } });
  dynamo.on(UpdateCommand).resolves({ Attributes: stored });
  sfn.on(SendTaskSuccessCommand).resolves({});
  expect(await lambdas.admit({ Records: [aRecord(ticket)] })).toEqual({ batchItemFailures: [] });
  expect(sfn).toHaveReceivedCommandExactlyOnceWith(SendTaskSuccessCommand, {
    taskToken: 'token',
    output: '{}',
  });
});

it('fails where the table does not answer, so that the message comes again', async () => {
  dynamo.on(GetCommand).rejects(throttled);
  await expect(lambdas.admit({ Records: [aRecord(ticket)] })).rejects.toBe(throttled);
  expect(sfn).not.toHaveReceivedAnyCommand();
  expect(sqs).not.toHaveReceivedAnyCommand();
});

it('gives the error of a step a name on which it is tried again, and begins nothing, where the table is throttled', async () => {
  dynamo.on(UpdateCommand).rejects(throttled);
  await expect(lambdas.takeVm({ jobId: 'job1' })).rejects.toMatchObject({
    name: 'Throttled',
    cause: throttled,
  });
  expect(updates()).toHaveLength(1);
});

it('begins no step of a job that is over, whose record refuses it', async () => {
  dynamo.on(UpdateCommand).rejects(refused);
  dynamo.on(GetCommand).resolves({ Item: { ...stored, closing: true } });
  await expect(lambdas.takeVm({ jobId: 'job1' })).rejects.toMatchObject({ name: 'JobClosing' });
  expect(updates()).toHaveLength(1);
});
