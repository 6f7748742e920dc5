import { GetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs';

/** How many messages the queue has, about: those that wait, and those that an admission looks at. */
export async function queueDepth(
  sqs: SQSClient,
  queueUrl: string,
): Promise<{ waiting: number; inFlight: number }> {
  const { Attributes: found = {} } = await sqs.send(
    new GetQueueAttributesCommand({
      QueueUrl: queueUrl,
      AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'],
    }),
  );
  return {
    waiting: Number(found.ApproximateNumberOfMessages ?? 0),
    inFlight: Number(found.ApproximateNumberOfMessagesNotVisible ?? 0),
  };
}

/** What {@link queueDepth} gives, asked with a client of its own. */
export async function lambdaQueueDepth(queueUrl: string): ReturnType<typeof queueDepth> {
  const sqs = new SQSClient();
  try {
    return await queueDepth(sqs, queueUrl);
  } finally {
    sqs.destroy();
  }
}
