import { GetQueueAttributesCommand, QueueDoesNotExist, SQSClient } from '@aws-sdk/client-sqs';
import { allCustomMatcher } from 'aws-sdk-client-mock-vitest';
import { beforeEach, expect, it, vi } from 'vitest';
import { lambdaQueueDepth, queueDepth } from '../../../functions/queue/depth.ts';
import { mockedClass } from '../../support/mocked-aws.ts';
import { QUEUE_URL } from './an-admission.ts';
import 'aws-sdk-client-mock-vitest/extend';

expect.extend(allCustomMatcher);

const sqs = mockedClass(SQSClient);
const client = new SQSClient({ region: 'us-east-1' });

beforeEach(() => sqs.reset());

it('counts what waits and what an admission looks at', async () => {
  sqs.on(GetQueueAttributesCommand).resolves({
    Attributes: { ApproximateNumberOfMessages: '12', ApproximateNumberOfMessagesNotVisible: '3' },
  });
  expect(await queueDepth(client, QUEUE_URL)).toEqual({ waiting: 12, inFlight: 3 });
  expect(sqs).toHaveReceivedCommandExactlyOnceWith(GetQueueAttributesCommand, {
    QueueUrl: QUEUE_URL,
    AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'],
  });
});

it('takes what is not told for none', async () => {
  sqs.on(GetQueueAttributesCommand).resolves({});
  expect(await queueDepth(client, QUEUE_URL)).toEqual({ waiting: 0, inFlight: 0 });
});

it.each([
  new QueueDoesNotExist({ message: 'x', $metadata: {} }),
  Object.assign(new Error('x'), { name: 'RequestThrottled' }),
])('passes on that the queue does not answer ($name), and closes its client', async (error) => {
  const destroy = vi.spyOn(SQSClient.prototype, 'destroy');
  sqs.on(GetQueueAttributesCommand).rejects(error);
  await expect(lambdaQueueDepth(QUEUE_URL)).rejects.toBe(error);
  expect(destroy).toHaveBeenCalledOnce();
  destroy.mockRestore();
});
