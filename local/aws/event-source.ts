import { setTimeout as delay } from 'node:timers/promises';
import {
  DeleteMessageCommand,
  type Message,
  ReceiveMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import type { SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';

/** A queue consumer as Lambda calls it; `stopping` is aborted when the event source is being stopped. */
export type QueueHandler = (
  event: SQSEvent,
  stopping: AbortSignal,
  // biome-ignore lint/suspicious/noConfusingVoidType: a handler that reports no failures may return nothing
) => Promise<SQSBatchResponse | void>;

/**
 * Lambda's event source mapping for an SQS queue: `concurrency` pollers hand messages to the handler one at a time
 * (BatchSize 1) and delete what it has dealt with. What it reports in `batchItemFailures`, and everything when it
 * throws, is left alone: it comes back when its visibility, which the handler may have changed, is over.
 * @param onError told of a handler's error and of a queue that could not be reached (tried again after a second)
 */
export function startEventSource({
  client,
  queueUrl,
  queueArn,
  handler,
  concurrency = 2,
  onError = () => {},
}: {
  client: SQSClient;
  queueUrl: string;
  queueArn: string;
  handler: QueueHandler;
  concurrency?: number;
  onError?: (error: unknown) => void;
}): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const { signal } = stopping;

  async function poll(): Promise<void> {
    while (!signal.aborted) {
      try {
        const { Messages = [] } = await client.send(
          new ReceiveMessageCommand({
            QueueUrl: queueUrl,
            MaxNumberOfMessages: 1,
            WaitTimeSeconds: 20,
            MessageSystemAttributeNames: ['All'],
            MessageAttributeNames: ['All'],
          }),
          { abortSignal: signal },
        );
        for (const message of Messages) await deliver(message);
      } catch (error) {
        if (signal.aborted) return;
        onError(error);
        await delay(1000, undefined, { signal, ref: false }).catch(() => {});
      }
    }
  }

  async function deliver(message: Message): Promise<void> {
    const record = sqsRecord(message, queueArn);
    try {
      const response = await handler({ Records: [record] }, signal);
      // The batch is one message, so any failure means it: Lambda takes an identifier it does not know for all of them.
      if (response?.batchItemFailures?.length) return;
    } catch (error) {
      onError(error);
      return;
    }
    await client.send(new DeleteMessageCommand({ QueueUrl: queueUrl, ReceiptHandle: record.receiptHandle }));
  }

  const pollers = Array.from({ length: concurrency }, poll);
  return {
    /** Receives no more and waits for the handlers at work. */
    async stop() {
      stopping.abort();
      await Promise.all(pollers);
    },
  };
}

function sqsRecord(message: Message, queueArn: string): SQSRecord {
  const attributes = message.Attributes ?? {};
  return {
    messageId: message.MessageId ?? '',
    receiptHandle: message.ReceiptHandle ?? '',
    body: message.Body ?? '',
    attributes: {
      ...attributes,
      ApproximateReceiveCount: attributes.ApproximateReceiveCount ?? '1',
      SentTimestamp: attributes.SentTimestamp ?? '',
      SenderId: attributes.SenderId ?? '',
      ApproximateFirstReceiveTimestamp: attributes.ApproximateFirstReceiveTimestamp ?? '',
    },
    messageAttributes: {},
    md5OfBody: message.MD5OfBody ?? '',
    eventSource: 'aws:sqs',
    eventSourceARN: queueArn,
    awsRegion: queueArn.split(':')[3] ?? '',
  };
}
