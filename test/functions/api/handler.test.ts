import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import { ExecutionDoesNotExist, SFNClient, StopExecutionCommand } from '@aws-sdk/client-sfn';
import { DynamoDBDocumentClient, GetCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { beforeEach, expect, it } from 'vitest';
import { apiEvent } from '../../support/api-event.ts';
import { asLambdas } from '../../support/as-lambda.ts';
import { mockedClass } from '../../support/mocked-aws.ts';
import { aJob } from './a-job.ts';

const dynamo = mockedClass(DynamoDBDocumentClient);
const sfn = mockedClass(SFNClient);

const pools = [{ name: 'demo', addresses: ['http://127.0.0.1:9'], secretId: 'pool' }];
const api = asLambdas(
  {
    XENSNAP_CONFIG: JSON.stringify({ installation: 'test', pools, glance: { url: 'http://127.0.0.1:9' } }),
    XENSNAP_TABLE: 'xensnap',
    XENSNAP_STATE_MACHINE_ARN: 'arn:aws:states:us-east-1:000000000000:stateMachine:xensnap',
    XENSNAP_RESTORE_MACHINE_ARN: 'arn:aws:states:us-east-1:000000000000:stateMachine:xensnap-restore',
    XENSNAP_QUEUE_URL: 'http://127.0.0.1:9/xensnap.fifo',
    AWS_REGION: 'us-east-1',
  },
  () => import('../../../functions/api/handler.ts'),
);
beforeEach(() => {
  dynamo.reset();
  sfn.reset();
});

async function ask(method: string, path: string, body?: string) {
  const answer = await api.handler(apiEvent(method, path, body) as never, {} as never);
  return { ...answer, document: JSON.parse(answer.body ?? '{}') };
}

it('answers API Gateway, with the runtime of its environment', async () => {
  const document = await ask('GET', '/openapi.json');
  expect([document.statusCode, document.document.openapi]).toEqual([200, '3.1.0']);
  const refused = await ask('POST', '/snapshots', '{"vm":1}');
  expect([refused.statusCode, refused.document.error.message]).toEqual([400, 'vm: must be a string']);
  const wrong = await ask('PUT', '/vms');
  expect([wrong.statusCode, wrong.headers?.allow]).toEqual([405, 'GET, HEAD']);
});

const job = aJob();
const stored = { ...job, id: `job#${job.id}` };
const named = (name: string) =>
  Object.assign(new Error('planted'), {
    name,
    $metadata: {},
    ...(/Denied|NotFound/.test(name) && { $fault: 'client' }),
  });

it.each([
  'ThrottlingException',
  'ThrottledException',
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
  'TooManyRequestsException',
])('answers 503, and when to ask again, where a service of AWS takes no more: %s', async (name) => {
  dynamo.on(GetCommand).rejects(named(name));
  const { statusCode, headers, document } = await ask('GET', `/snapshots/${job.id}`);
  expect([statusCode, document.error.name]).toEqual([503, 'Throttled']);
  expect(headers).toMatchObject({ 'retry-after': '15' });
});

it.each(['InternalServerError', 'InternalFailure', 'TransactionConflictException', 'TimeoutError'])(
  'answers 503 where a service of AWS fails for a moment: %s',
  async (name) => {
    dynamo.on(GetCommand).rejects(named(name));
    const { statusCode, document } = await ask('GET', `/snapshots/${job.id}`);
    expect([statusCode, document.error.name]).toEqual([503, 'ServiceUnavailable']);
    expect(JSON.stringify(document)).not.toContain('planted');
  },
);

it.each(['AccessDeniedException', 'ResourceNotFoundException'])(
  'answers 500 without a word of what AWS said: %s',
  async (name) => {
    dynamo.on(GetCommand).rejects(named(name));
    const { statusCode, document } = await ask('GET', `/snapshots/${job.id}`);
    expect([statusCode, document.error.name]).toEqual([500, 'Internal']);
    expect(JSON.stringify(document)).not.toContain('planted');
  },
);

it('cancels a job whose execution is over or was never there', async () => {
  dynamo.on(GetCommand).resolves({ Item: stored });
  dynamo.on(UpdateCommand).resolves({ Attributes: { ...stored, closing: true, cancelRequested: true } });
  sfn.on(StopExecutionCommand).rejects(new ExecutionDoesNotExist({ message: 'x', $metadata: {} }));
  const { statusCode, document } = await ask('DELETE', `/snapshots/${job.id}`);
  expect([statusCode, document.id]).toEqual([202, job.id]);
});

it('cancels a job whose execution cannot be stopped now, and has it stopped later', async () => {
  dynamo.on(GetCommand).resolves({ Item: stored });
  dynamo.on(UpdateCommand).resolves({ Attributes: { ...stored, closing: true, cancelRequested: true } });
  sfn.on(StopExecutionCommand).rejects(named('ThrottlingException'));
  const { statusCode, document } = await ask('DELETE', `/snapshots/${job.id}`);
  expect([statusCode, document.id]).toEqual([202, job.id]);
  const [decided, kept] = dynamo.commandCalls(UpdateCommand).map(({ args }) => args[0].input);
  expect(decided?.UpdateExpression).toContain('#cancelRequested');
  expect(kept?.Key).toEqual({ id: 'executions#unstopped' });
  expect(Object.values(kept?.ExpressionAttributeValues ?? {})).toContainEqual(new Set([job.id]));
});

it('answers 503 where neither can be done: the job is closing all the same', async () => {
  dynamo.on(GetCommand).resolves({ Item: stored });
  dynamo
    .on(UpdateCommand)
    .resolvesOnce({ Attributes: { ...stored, closing: true, cancelRequested: true } })
    .rejects(new ConditionalCheckFailedException({ message: 'x', $metadata: {} }));
  sfn.on(StopExecutionCommand).rejects(named('ThrottlingException'));
  const { statusCode } = await ask('DELETE', `/snapshots/${job.id}`);
  expect(statusCode).toBe(503);
});
