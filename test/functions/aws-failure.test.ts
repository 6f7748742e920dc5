import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SendTaskSuccessCommand, SFNClient } from '@aws-sdk/client-sfn';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { expect, it } from 'vitest';
import { translate } from '../../functions/translate.ts';
import { RETRY_OF_AWS } from '../../statemachine/retries.ts';

/** What each service is asked, so that the SDK itself makes the error of what comes back. */
const ASKED = {
  'the table': (endpoint: string) =>
    new DynamoDBClient(at(endpoint)).send(new GetItemCommand({ TableName: 't', Key: { id: { S: 'x' } } })),
  'Secrets Manager': (endpoint: string) =>
    new SecretsManagerClient(at(endpoint)).send(new GetSecretValueCommand({ SecretId: 's' })),
  'Step Functions': (endpoint: string) =>
    new SFNClient(at(endpoint)).send(new SendTaskSuccessCommand({ taskToken: 't', output: '{}' })),
  'the queue': (endpoint: string) =>
    new SQSClient({ ...at(endpoint), useQueueUrlAsEndpoint: false }).send(
      new SendMessageCommand({ QueueUrl: `${endpoint}/q`, MessageBody: 'm' }),
    ),
};

const at = (endpoint: string) => ({
  endpoint,
  region: 'us-east-1',
  maxAttempts: 1,
  credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
  requestHandler: { requestTimeout: 500, throwOnRequestTimeout: true },
});

const saying =
  (status: number, type: string): RequestListener =>
  (_, response) => {
    response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' });
    response.end(JSON.stringify({ __type: type, message: 'planted' }));
  };

const CASES: readonly [string, RequestListener, string | undefined][] = [
  ['500', saying(500, 'InternalServerError'), 'ServiceUnavailable'],
  ['500 of no name', (_, response) => response.writeHead(500).end('<html>'), 'ServiceUnavailable'],
  ['503', saying(503, 'Unknown'), 'ServiceUnavailable'],
  ['a connection that is cut', (request) => request.socket.destroy(), 'ServiceUnavailable'],
  ['no answer', () => {}, 'ServiceUnavailable'],
  ['200 that is no JSON', (_, response) => response.writeHead(200).end('<html>'), 'ServiceUnavailable'],
  [
    '200 that is cut short',
    (_, response) => response.writeHead(200).end('{"Item":{"id"'),
    'ServiceUnavailable',
  ],
  ['throttling', saying(400, 'ThrottlingException'), 'Throttled'],
  ['429', saying(429, 'Whatever'), 'Throttled'],
  ['a conflict of transactions', saying(400, 'TransactionConflictException'), 'ServiceUnavailable'],
  ['that access is denied', saying(400, 'AccessDeniedException'), undefined],
  ['that the request is wrong', saying(400, 'ValidationException'), undefined],
];

for (const [service, ask] of Object.entries(ASKED))
  it.each(CASES)(
    `gives ${service}’s answer a name on which every step is tried again: %s`,
    async (_what, listener, name) => {
      const server = createServer(listener);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as AddressInfo;
      const error = await ask(`http://127.0.0.1:${port}`).catch(translate);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      const { name: given, message } = error as Error;
      if (name === undefined) expect(RETRY_OF_AWS.ErrorEquals).not.toContain(given);
      else {
        expect(given).toBe(name);
        expect(RETRY_OF_AWS.ErrorEquals).toContain(given);
        expect(message).not.toContain('127.0.0.1');
      }
    },
  );

it('says the same of a service to which there is no connection', async () => {
  for (const ask of Object.values(ASKED))
    expect(await ask('http://127.0.0.1:1').catch(translate)).toMatchObject({ name: 'ServiceUnavailable' });
});
