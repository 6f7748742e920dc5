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
import { type CounterKey, hostOfLine, slotsOfHost, slotsOfSr } from '../store/counters.ts';
import { releaseSlotOf } from './wake.ts';

const Message = z.object({
  jobId: z.string(),
  ticket: z.string(),
  /** The line: a pool, a host and, where its SR has a limit, the SR. */
  group: z.string().regex(/^[^/]+\/[^/]+(?:\/[^/]+)?$/),
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
  const { receiptHandle: receipt, attributes } = record;
  const hide = async (seconds: number) => {
    await runtime.sqs.send(
      new ChangeMessageVisibilityCommand({
        QueueUrl: runtime.queueUrl,
        ReceiptHandle: receipt,
        VisibilityTimeout: Math.ceil(seconds),
      }),
    );
  };
  return admit(message, { receipt, since: Number(attributes.SentTimestamp), hide }, runtime);
}

function parse(body: string): QueueMessage | undefined {
  try {
    return Message.parse(JSON.parse(body));
  } catch {
    return undefined;
  }
}

/** A message as its receiver holds it. */
export interface Held {
  /** By which it is brought back. */
  readonly receipt: string;
  /** When it was sent, in milliseconds. */
  readonly since: number;
  /** Keeps it, and with it its line, away for so long, unless it is brought back before. */
  hide(seconds: number): Promise<void>;
}

/**
 * Decides on the ticket at the head of a line. The slot is taken before the ticket turns `granted`, and given back when
 * that is refused; a crash between the two is mended by the redelivery, which finds the job in the set. A message that
 * is dropped wakes its execution as well: nobody else would, if the job is closing but could not be stopped, or if a
 * late step wrote another ticket than the one that stands here. It then sees for itself.
 */
export async function admit(
  message: QueueMessage,
  held: Held,
  runtime: AdmissionRuntime,
): Promise<Admission> {
  const { store, clock, log, metrics } = runtime;
  const { jobId, ticket, group } = message;
  const job = await store.jobs.get(jobId);
  if (!isAlive(job) || job.ticket !== ticket) return drop(message, runtime);
  metrics.with({ jobId, group }).seconds('WaitedSeconds', (clock.now().getTime() - held.since) / 1000);
  const { pausedUntil } = await store.pools.health(job.pool);
  const paused = pausedUntil === undefined ? 0 : (Date.parse(pausedUntil) - clock.now().getTime()) / 1000;
  if (paused > 0) {
    await held.hide(Math.min(paused, runtime.config.timings.admissionRetrySeconds));
    return 'wait';
  }
  if (!(await takeSlots(job, group, held, runtime))) return 'wait';
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

/** After so long a head has its turn before others, though a slot of its host is not used meanwhile. */
const PATIENCE_SECONDS = 3600;

/**
 * The host's slot, then the SR's. Who waits for the SR keeps none of the host, but in its turn; and whose host is full may
 * have been woken for a slot of the SR, which another line can use.
 */
async function takeSlots(job: Job, group: string, held: Held, runtime: AdmissionRuntime): Promise<boolean> {
  const { slotsPerHost, hostSlots, srSlots } = poolConfig(runtime.config, job.pool);
  const [, hostUuid = ''] = group.split('/');
  const host = slotsOfHost(group);
  const { srUuid = '' } = job;
  const sr = slotsOfSr(job.pool, srUuid);
  const srLimit = srSlots[srUuid];
  if (!(await takeOrWait(host, hostSlots[hostUuid] ?? slotsPerHost, job, group, held, runtime))) {
    if (srLimit !== undefined) await passOn(sr, srLimit, runtime);
    return false;
  }
  if (srLimit === undefined) return true;
  if (await takeOrWait(sr, srLimit, job, group, held, runtime)) return true;
  if (!(await isItsTurn(sr, group, held, runtime))) await releaseSlotOf(host, job.id, runtime);
  return false;
}

/**
 * Whether a line has waited for long, and longer than all others that wait for the SR. While its host and its SR are
 * both busy, it would not find a slot of both at one moment, ever. Those who have the SR's slots have their hosts', too:
 * they end, and nobody waits in a circle.
 */
async function isItsTurn(
  sr: CounterKey,
  line: string,
  { since }: Held,
  { store, clock }: AdmissionRuntime,
): Promise<boolean> {
  if (clock.now().getTime() - since < PATIENCE_SECONDS * 1000) return false;
  const [first] = await store.counters.waiting(sr);
  return first?.line === line;
}

/** Wakes the next line for a slot, if one is free. */
async function passOn(counter: CounterKey, limit: number, { store, wake }: AdmissionRuntime): Promise<void> {
  const waiting = await store.counters.waiting(counter, limit);
  if (waiting.length > 0) await wake(counter, waiting);
}

/**
 * Takes a slot, or has the line wait for one. The message is hidden before the line is noted: whoever gives a slot back
 * from then on finds it noted, and brings the message back after it was hidden, never before.
 */
async function takeOrWait(
  counter: CounterKey,
  limit: number,
  job: Job,
  line: string,
  { receipt, since, hide }: Held,
  { store, config }: AdmissionRuntime,
): Promise<boolean> {
  do {
    if (await store.counters.take(counter, job.id, limit, line)) return true;
    await hide(config.timings.admissionRetrySeconds);
  } while (!(await store.counters.wait(counter, { line, receipt, since }, limit)));
  return false;
}

/** Takes the job out of this line's set and its SR's, except where a ticket that it was granted since keeps it. */
async function giveBack({ jobId, group }: QueueMessage, runtime: AdmissionRuntime): Promise<void> {
  const job = await runtime.store.jobs.get(jobId);
  const granted = isAlive(job) && job.ticketState === 'granted';
  const another = !granted || job.group === undefined || hostOfLine(job.group) !== hostOfLine(group);
  if (another) await releaseSlotOf(slotsOfHost(group), jobId, runtime);
  if (job?.srUuid !== undefined && !granted)
    await releaseSlotOf(slotsOfSr(job.pool, job.srUuid), jobId, runtime);
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
