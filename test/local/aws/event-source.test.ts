import { ChangeMessageVisibilityCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import type { SQSRecord } from 'aws-lambda';
import { expect, it, onTestFinished } from 'vitest';
import { type QueueHandler, startEventSource } from '../../../local/aws/event-source.ts';
import { LOCAL_AWS } from '../../../local/aws/in-process.ts';
import { startQueue } from '../../../local/aws/queue.ts';
import { localClock } from '../../../local/clock.ts';

/** A queue with an event source whose handler sees one record at a time. */
async function anEventSource(
  handle: (record: SQSRecord, client: SQSClient) => ReturnType<QueueHandler>,
  { concurrency = 3, visibilitySeconds = 30, speed = 1 } = {},
) {
  const clock = localClock(speed);
  const { queueUrl, queueArn, ...queue } = await startQueue({ name: 'hosts.fifo', visibilitySeconds, clock });
  const client = new SQSClient({ endpoint: queue.endpoint, ...LOCAL_AWS });
  const errors: unknown[] = [];
  const source = startEventSource({
    client,
    queueUrl,
    queueArn,
    concurrency,
    onError: (error) => errors.push(error),
    handler: async ({ Records: [record] }) => record && handle(record, client),
  });
  onTestFinished(async () => {
    await source.stop();
    client.destroy();
    await queue.close();
  });
  return {
    ...queue,
    ...source,
    queueUrl,
    errors,
    send: (MessageGroupId: string, MessageBody: string) =>
      client.send(new SendMessageCommand({ QueueUrl: queueUrl, MessageBody, MessageGroupId })),
  };
}

it('calls the handler with the record that Lambda would build and deletes the message then', async () => {
  const seen = Promise.withResolvers<SQSRecord>();
  const source = await anEventSource(async (record) => seen.resolve(record));
  await source.send('pool/host', '{"job":"1"}');
  expect(await seen.promise).toMatchObject({
    body: '{"job":"1"}',
    eventSource: 'aws:sqs',
    eventSourceARN: 'arn:aws:sqs:us-east-1:000000000000:hosts.fifo',
    awsRegion: 'us-east-1',
    messageId: expect.stringMatching(/.+/),
    receiptHandle: expect.stringMatching(/.+/),
    attributes: {
      MessageGroupId: 'pool/host',
      ApproximateReceiveCount: '1',
      SequenceNumber: expect.stringMatching(/^\d{20}$/),
      SentTimestamp: expect.stringMatching(/^\d+$/),
    },
  });
  await source.stop();
  expect(await source.depth()).toEqual({ waiting: 0, inFlight: 0 });
});

it('has one message of a group in work and keeps their order, several groups at once', async () => {
  const done: string[] = [];
  const all = Promise.withResolvers<void>();
  const both = Promise.withResolvers<void>();
  const atWork = new Map<string, number>();
  const source = await anEventSource(async ({ body, attributes }) => {
    const group = attributes.MessageGroupId ?? '';
    atWork.set(group, (atWork.get(group) ?? 0) + 1);
    expect(atWork.get(group)).toBe(1);
    if ((atWork.get('a') ?? 0) + (atWork.get('b') ?? 0) === 2) both.resolve();
    await both.promise;
    atWork.set(group, 0);
    if (done.push(body) === 6) all.resolve();
  });
  for (const n of [1, 2, 3]) for (const group of ['a', 'b']) await source.send(group, `${group}${n}`);
  await all.promise;
  expect(source.errors).toEqual([]);
  for (const group of ['a', 'b'])
    expect(done.filter((body) => body.startsWith(group))).toEqual([1, 2, 3].map((n) => `${group}${n}`));
});

it('leaves what the handler reports as failed to the visibility that the handler set', async () => {
  const counts: string[] = [];
  const taken = Promise.withResolvers<void>();
  const source = await anEventSource(
    async ({ messageId, receiptHandle, attributes }, client) => {
      counts.push(attributes.ApproximateReceiveCount);
      if (counts.length === 3) return taken.resolve();
      const hide = { QueueUrl: source.queueUrl, ReceiptHandle: receiptHandle, VisibilityTimeout: 15 };
      await client.send(new ChangeMessageVisibilityCommand(hide));
      return { batchItemFailures: [{ itemIdentifier: messageId }] };
    },
    { visibilitySeconds: 43_200, speed: 1000 },
  );
  await source.send('a', 'waits for a slot');
  await taken.promise;
  expect(counts).toEqual(['1', '2', '3']);
  expect(source.errors).toEqual([]);
});

it('delivers a message again when the handler threw', async () => {
  let calls = 0;
  const taken = Promise.withResolvers<void>();
  const source = await anEventSource(
    async () => {
      calls += 1;
      if (calls === 1) throw new Error('fell over');
      taken.resolve();
    },
    { speed: 1000 },
  );
  await source.send('a', 'one');
  await taken.promise;
  expect(source.errors).toEqual([new Error('fell over')]);
});

it('waits for the handler at work when it is stopped', async () => {
  const entered = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  let finished = false;
  const source = await anEventSource(async () => {
    entered.resolve();
    await gate.promise;
    finished = true;
  });
  await source.send('a', 'one');
  await entered.promise;
  const stopped = source.stop();
  gate.resolve();
  await stopped;
  expect(finished).toBe(true);
  expect(await source.depth()).toEqual({ waiting: 0, inFlight: 0 });
});
