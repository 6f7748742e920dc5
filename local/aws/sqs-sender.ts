import { SendMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import type { SendMessage } from './states/tasks.ts';

/** The way from a state that waits for a token to the queue: Step Functions' own call of SQS. */
export function sqsSender(client: SQSClient): SendMessage {
  return async (queueUrl, body, groupId, deduplicationId) => {
    await client.send(
      new SendMessageCommand({
        QueueUrl: queueUrl,
        MessageBody: body,
        ...(groupId !== undefined && { MessageGroupId: groupId }),
        ...(deduplicationId !== undefined && { MessageDeduplicationId: deduplicationId }),
      }),
    );
  };
}
