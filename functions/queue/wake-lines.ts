import { lambdaLines } from '../runtime/lines.ts';
import type { Woken } from './wake.ts';

/** What Lambda hands on of a function that was called without waiting and has ended well. */
interface Ended {
  readonly responsePayload?: Partial<Woken> | null;
}

/** Wakes the lines whose slots a function in the VPC gave back, from where the queue is not in reach. */
export async function handler({ responsePayload }: Ended): Promise<void> {
  const { wakeLine } = lambdaLines();
  for (const receipt of responsePayload?.wake ?? []) await wakeLine(receipt);
}
