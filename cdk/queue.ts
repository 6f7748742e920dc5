import { Duration } from 'aws-cdk-lib';
import { DeduplicationScope, FifoThroughputLimit, Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';

/** Seconds that one admission may take. */
export const ADMISSION_SECONDS = 15;
/** Lines that are served at the same time, whatever their number. */
export const ADMISSIONS_AT_ONCE = 10;

/**
 * The hosts' lines, one message group each. It has no dead-letter queue: to be received again and again is to wait,
 * not to fail. The body holds a task token, so that its digest tells messages apart.
 */
export function createHostQueue(scope: Construct): Queue {
  const queue = new Queue(scope, 'HostQueue', {
    fifo: true,
    contentBasedDeduplication: true,
    // High throughput: the quota of calls is each line's, not the queue's.
    deduplicationScope: DeduplicationScope.MESSAGE_GROUP,
    fifoThroughputLimit: FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
    encryption: QueueEncryption.SQS_MANAGED,
    enforceSSL: true,
    retentionPeriod: Duration.days(14),
    // Lambda advises six times the function's timeout: the poller may hold a message for some tries of its own.
    visibilityTimeout: Duration.seconds(6 * ADMISSION_SECONDS + 10),
  });
  acknowledge(
    queue,
    'SQS3',
    'To be received again is to wait for a host, not to fail; what is malformed is deleted.',
  );
  return queue;
}

/** Where events end that a function did not manage to deal with; an alarm watches it. */
export function createFailureQueue(scope: Construct, id: string): Queue {
  const queue = new Queue(scope, id, {
    encryption: QueueEncryption.SQS_MANAGED,
    enforceSSL: true,
    retentionPeriod: Duration.days(14),
  });
  acknowledge(queue, 'SQS3', 'It is where failures end.');
  return queue;
}
