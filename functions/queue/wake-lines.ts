import type { BaseRuntime } from '../runtime/base.ts';
import { lambdaLines } from '../runtime/lines.ts';
import type { CounterKey } from '../store/counters.ts';
import type { Woken } from './wake.ts';

/** What Lambda hands on of a function that was called without waiting and has ended well. */
interface Ended {
  readonly responsePayload?: Partial<Woken> | null;
}

/** Wakes a line for each slot that a function in the VPC gave back, from where the queue is in reach. */
export async function handler({ responsePayload }: Ended): Promise<void> {
  await wakeLines(responsePayload?.wake ?? [], lambdaLines());
}

export async function wakeLines(
  slots: readonly CounterKey[],
  { store, wake }: Pick<BaseRuntime, 'store' | 'wake'>,
): Promise<void> {
  for (const counter of slots) await wake(counter, await store.counters.waiting(counter));
}
