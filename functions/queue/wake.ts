import { ChangeMessageVisibilityCommand, type SQSClient } from '@aws-sdk/client-sqs';
import type { Log } from '../log.ts';
import type { BaseRuntime } from '../runtime/base.ts';
import type { CounterKey, Counters, Waiting } from '../store/counters.ts';
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
 * Has the line that has waited longest for a slot look again at once, or the next one, where the queue knows its head by
 * another receipt by now. A wake that fails costs time and nothing else: each head looks again by itself in the end.
 * @param waiting the lines that wait, in their order
 */
export async function wakeFirst(
  counter: CounterKey,
  waiting: readonly Waiting[],
  { counters, log, ...queue }: QueueAccess & { readonly counters: Counters; readonly log: Log },
): Promise<void> {
  for (const line of waiting) {
    // Another who gave a slot back at the same moment has woken it for that one.
    if (!(await counters.strike(counter, line))) continue;
    try {
      if (await wakeLine(line.receipt, queue)) return;
    } catch (error) {
      log.warn('a line could not be woken; it looks again by itself', {
        line: line.line,
        reason: translate(error).message,
      });
      return;
    }
  }
}

/** Gives a slot back, and has a line that waits for one look again. */
export async function releaseSlotOf(
  counter: CounterKey,
  jobId: string,
  { store, wake }: Pick<BaseRuntime, 'wake'> & { readonly store: { readonly counters: Counters } },
): Promise<void> {
  const waiting = await store.counters.release(counter, jobId);
  if (waiting.length > 0) await wake(counter, waiting);
}

/** What a function answers that may not reach the queue from its VPC: of which slots queue/wake-lines wakes a line then. */
export interface Woken {
  readonly wake: readonly CounterKey[];
}

/** Lambda hands on 256 KB of an answer at most; lines beyond look again by themselves. */
const MOST_WOKEN = 1000;

/**
 * A runtime that keeps for its function's answer of which slots a line is to be woken. Should there be no answer, the
 * lines stay noted, for whoever gives the next slot back.
 */
export function keepingWoken<R extends BaseRuntime>(runtime: R): { runtime: R; woken: Woken } {
  const wake: CounterKey[] = [];
  const keep = async (counter: CounterKey) => {
    if (wake.length < MOST_WOKEN) wake.push(counter);
  };
  return { runtime: { ...runtime, wake: keep }, woken: { wake } };
}
