import {
  InvalidToken,
  SendTaskSuccessCommand,
  type SFNClient,
  TaskDoesNotExist,
  TaskTimedOut,
} from '@aws-sdk/client-sfn';
import { ChangeMessageVisibilityCommand } from '@aws-sdk/client-sqs';
import type { SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import * as z from 'zod';
import type { QueueMessage } from '../../statemachine/contract.ts';
import { poolConfig } from '../config.ts';
import { isFinished, type Job } from '../job.ts';
import { type AdmissionRuntime, lambdaAdmission } from '../runtime/admission.ts';
import { slotsOfHost, slotsOfSr } from '../store/counters.ts';

const Message = z.object({
  jobId: z.string(),
  ticket: z.string(),
  group: z.string().regex(/^[^/]+\/[^/]+$/),
  taskToken: z.string(),
}) satisfies z.ZodType<QueueMessage>;

/** What became of a message: `wait` puts it back at the head of its line. */
export type Admission = 'granted' | 'dropped' | 'wait';

/** The queue's consumer: batch of one, partial batch responses. */
export async function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  return admitBatch(event, lambdaAdmission());
}

/** Admits the messages in their order. From the first that must wait on, the rest go back unprocessed. */
export async function admitBatch(event: SQSEvent, runtime: AdmissionRuntime): Promise<SQSBatchResponse> {
  for (const [index, record] of event.Records.entries()) {
    if ((await admitRecord(record, runtime)) !== 'wait') continue;
    return {
      batchItemFailures: event.Records.slice(index).map(({ messageId }) => ({ itemIdentifier: messageId })),
    };
  }
  return { batchItemFailures: [] };
}

async function admitRecord(record: SQSRecord, runtime: AdmissionRuntime): Promise<Admission> {
  const message = parse(record.body);
  if (!message) {
    runtime.log.error('malformed message in the host queue, deleted', { messageId: record.messageId });
    runtime.metrics.count('MalformedMessage');
    return 'dropped';
  }
  const admission = await admit(message, runtime);
  if (admission === 'wait')
    await runtime.sqs.send(
      new ChangeMessageVisibilityCommand({
        QueueUrl: runtime.queueUrl,
        ReceiptHandle: record.receiptHandle,
        VisibilityTimeout: Math.ceil(runtime.config.timings.admissionRetrySeconds),
      }),
    );
  return admission;
}

function parse(body: string): QueueMessage | undefined {
  try {
    return Message.parse(JSON.parse(body));
  } catch {
    return undefined;
  }
}

/**
 * Decides on the ticket at the head of a host's line. The slot is taken before the ticket turns `granted`, and given
 * back when that is refused; a crash between the two is mended by the redelivery, which finds the job in the set.
 * A message that is dropped wakes its execution as well: nobody else would, if the job is closing but could not be
 * stopped, or if a late step wrote another ticket than the one that stands here. It then sees for itself.
 */
export async function admit(message: QueueMessage, runtime: AdmissionRuntime): Promise<Admission> {
  const { store, clock, log, metrics } = runtime;
  const { jobId, ticket, group } = message;
  const job = await store.jobs.get(jobId);
  if (!isAlive(job) || job.ticket !== ticket) return drop(message, runtime);
  const { pausedUntil } = await store.pools.health(job.pool);
  if (pausedUntil !== undefined && clock.now().toISOString() < pausedUntil) return 'wait';
  if (!(await takeSlots(job, group, runtime))) return 'wait';
  if (!(await store.jobs.grant(jobId, ticket))) return drop(message, runtime);
  log.info('slot granted', { jobId, group });
  metrics
    .with({ jobId, group })
    .count('SlotsTaken', (await store.counters.holders(slotsOfHost(group))).length);
  await sendToken(runtime.sfn, message.taskToken);
  return 'granted';
}

async function drop(message: QueueMessage, runtime: AdmissionRuntime): Promise<'dropped'> {
  await giveBack(message, runtime);
  await sendToken(runtime.sfn, message.taskToken);
  return 'dropped';
}

async function takeSlots(job: Job, group: string, { store, config }: AdmissionRuntime): Promise<boolean> {
  const { slotsPerHost, hostSlots, srSlots } = poolConfig(config, job.pool);
  const hostUuid = group.slice(group.indexOf('/') + 1);
  if (!(await store.counters.take(slotsOfHost(group), job.id, hostSlots[hostUuid] ?? slotsPerHost)))
    return false;
  const { srUuid = '' } = job;
  const srLimit = srSlots[srUuid];
  if (srLimit === undefined || (await store.counters.take(slotsOfSr(job.pool, srUuid), job.id, srLimit)))
    return true;
  await store.counters.release(slotsOfHost(group), job.id);
  return false;
}

/** Takes the job out of this line's set and its SR's, except where a ticket that it was granted since keeps it. */
async function giveBack({ jobId, group }: QueueMessage, { store }: AdmissionRuntime): Promise<void> {
  const job = await store.jobs.get(jobId);
  const granted = isAlive(job) && job.ticketState === 'granted';
  if (!granted || job.group !== group) await store.counters.release(slotsOfHost(group), jobId);
  if (job?.srUuid !== undefined && !granted)
    await store.counters.release(slotsOfSr(job.pool, job.srUuid), jobId);
}

function isAlive(job: Job | undefined): job is Job {
  return job !== undefined && !job.closing && !isFinished(job);
}

/** Wakes the execution. A token that is dead belongs to an execution that ended or waits no more: nothing to wake. */
async function sendToken(sfn: SFNClient, taskToken: string): Promise<void> {
  try {
    await sfn.send(new SendTaskSuccessCommand({ taskToken, output: '{}' }));
  } catch (error) {
    if (error instanceof TaskTimedOut || error instanceof TaskDoesNotExist || error instanceof InvalidToken)
      return;
    throw error;
  }
}
