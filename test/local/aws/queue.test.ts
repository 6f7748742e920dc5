import {
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { expect, it, onTestFinished } from 'vitest';
import { LOCAL_AWS } from '../../../local/aws/in-process.ts';
import { startQueue } from '../../../local/aws/queue.ts';
import { localClock } from '../../../local/clock.ts';

async function aQueue(options: { visibilitySeconds?: number; speed?: number } = {}) {
  const queue = await startQueue({
    name: 'hosts.fifo',
    visibilitySeconds: options.visibilitySeconds ?? 30,
    clock: localClock(options.speed ?? 1),
  });
  const client = new SQSClient({ endpoint: queue.endpoint, ...LOCAL_AWS });
  onTestFinished(async () => {
    client.destroy();
    await queue.close();
  });
  const QueueUrl = queue.queueUrl;
  return {
    ...queue,
    client,
    send: (MessageGroupId: string, MessageBody: string) =>
      client.send(new SendMessageCommand({ QueueUrl, MessageBody, MessageGroupId })),
    receive: async (WaitTimeSeconds = 0) => {
      const receive = new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds, MaxNumberOfMessages: 1 });
      return (await client.send(receive)).Messages?.[0];
    },
    remove: (ReceiptHandle: string | undefined) =>
      client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle })),
    hide: (ReceiptHandle: string | undefined, VisibilityTimeout: number) =>
      client.send(new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle, VisibilityTimeout })),
  };
}

it('has a URL that the client can use as it is, and that leads nowhere outside of this process', async () => {
  const queue = await aQueue();
  expect(queue.queueUrl).toMatch(/^http:\/\/aws-\d+\.invalid\/000000000000\/hosts\.fifo$/);
  const QueueUrl = queue.queueUrl;
  const attributes = new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] });
  expect((await queue.client.send(attributes)).Attributes).toMatchObject({
    FifoQueue: 'true',
    ContentBasedDeduplication: 'true',
    MessageRetentionPeriod: '1209600',
    VisibilityTimeout: '30',
  });
});

it('keeps the order of a group and hands out one message of it at a time, other groups beside it', async () => {
  const queue = await aQueue();
  for (const body of ['a1', 'a2']) await queue.send('a', body);
  await queue.send('b', 'b1');
  const first = await queue.receive();
  const beside = await queue.receive();
  expect([first?.Body, beside?.Body]).toEqual(['a1', 'b1']);
  expect(await queue.receive()).toBeUndefined();
  expect(await queue.depth()).toEqual({ waiting: 1, inFlight: 2 });
  await queue.remove(first?.ReceiptHandle);
  expect((await queue.receive())?.Body).toBe('a2');
});

it('drops a message whose body came before', async () => {
  const queue = await aQueue();
  await queue.send('a', 'once');
  await queue.send('a', 'once');
  expect(await queue.depth()).toEqual({ waiting: 1, inFlight: 0 });
});

it('shows a message again after its visibility, in the time of the clock, first in its group', async () => {
  const queue = await aQueue({ visibilitySeconds: 50, speed: 1000 });
  await queue.send('a', 'a1');
  await queue.send('a', 'a2');
  await queue.receive();
  expect((await queue.receive(5))?.Body).toBe('a1');
});

it('lets whoever received a message change when it shows again', async () => {
  const queue = await aQueue({ visibilitySeconds: 43_200, speed: 1000 });
  await queue.send('a', 'a1');
  const first = await queue.receive();
  await queue.hide(first?.ReceiptHandle, 15);
  const second = await queue.receive(5);
  expect(second?.Body).toBe('a1');
  expect(await queue.receive()).toBeUndefined();
  await queue.hide(second?.ReceiptHandle, 0);
  expect((await queue.receive())?.Body).toBe('a1');
});
