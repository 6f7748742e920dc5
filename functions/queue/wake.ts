import { ChangeMessageVisibilityCommand, type SQSClient } from '@aws-sdk/client-sqs';
import type { BaseRuntime } from '../runtime/base.ts';
import type { CounterKey, Counters } from '../store/counters.ts';
import { translate } from '../translate.ts';

/** The queue, for whoever brings a message back. */
export interface QueueAccess {
  readonly sqs: SQSClient;
  readonly queueUrl: string;
}

/**
 * Brings the head of a line back at once. False where the queue refuses its receipt: the message was received anew since,
 * or deleted, and so has had its look.
 */
export async function wakeLine(receipt: string, { sqs, queueUrl }: QueueAccess): Promise<boolean> {
  try {
    await sqs.send(
      new ChangeMessageVisibilityCommand({
        QueueUrl: queueUrl,
        ReceiptHandle: receipt,
        VisibilityTimeout: 0,
      }),
    );
    return true;
  } catch (error) {
    if (!(error instanceof Error) || !STALE.includes(error.name)) throw error;
    return false;
  }
}

/** What SQS answers on a receipt that is no longer of use: "Amazon SQS API Reference", ChangeMessageVisibility. */
const STALE = ['MessageNotInflight', 'ReceiptHandleIsInvalid', 'InvalidParameterValue'];

/**
 * Gives a slot back, and has the line that has waited longest for one look again. A wake that fails costs time and
 * nothing else: each head looks again by itself in the end.
 */
export async function releaseSlotOf(
  counter: CounterKey,
  jobId: string,
  {
    store,
    wakeLine,
    log,
  }: Pick<BaseRuntime, 'wakeLine' | 'log'> & { readonly store: { readonly counters: Counters } },
): Promise<void> {
  for (;;) {
    // Given back once; each further time another line is taken out.
    const waiting = await store.counters.release(counter, jobId);
    if (!waiting) return;
    try {
      if (await wakeLine(waiting.receipt)) return;
    } catch (error) {
      log.warn('a line could not be woken; it looks again by itself', {
        line: waiting.line,
        reason: translate(error).message,
      });
      return;
    }
  }
}

/** What a function answers that may not reach the queue from its VPC: lines which queue/wake-lines wakes then. */
export interface Woken {
  readonly wake: readonly string[];
}

/** Lambda hands on 256 KB of an answer at most; those beyond look again by themselves. */
const MOST_WOKEN = 300;

/** A runtime that keeps the lines to be woken for its function's answer. */
export function keepingWoken<R extends BaseRuntime>(runtime: R): { runtime: R; woken: Woken } {
  const wake: string[] = [];
  const keep = async (receipt: string) => {
    if (wake.length < MOST_WOKEN) wake.push(receipt);
    return true;
  };
  return { runtime: { ...runtime, wakeLine: keep }, woken: { wake } };
}
