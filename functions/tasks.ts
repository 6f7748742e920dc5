import { isCode } from '../xapi/errors.ts';
import type { Session } from '../xapi/session.ts';
import type { Ref, TaskRecord } from '../xapi/types.ts';
import type { StepDeps } from './step.ts';

/** Removes a task's record, which xapi would keep for an hour. */
export async function forgetTask(xapi: Session, taskRef: Ref<'task'>): Promise<void> {
  try {
    await xapi.call('task.destroy', taskRef);
  } catch (error) {
    if (!isCode(error, 'HANDLE_INVALID')) throw error;
  }
}

/** Looks for a lost task, a second apart. */
const LOOKS = 5;

/**
 * Removes the record of a call whose reply, and with it the task's reference, was lost. It is known by its result,
 * which holds what only that call can have made; and since what it made can be seen a moment before the task is over,
 * it is looked for more than once. One that xapi forgot itself, when it restarted say, is not there.
 */
export async function forgetLostTask(
  { xapi, wait }: Pick<StepDeps, 'xapi' | 'wait'>,
  method: string,
  resultHolds: string,
): Promise<void> {
  for (let look = 1; look <= LOOKS; look++) {
    const tasks = await xapi.call('task.get_all_records_where', `field "name__label" = "${method}"`);
    const found = (Object.entries(tasks) as [Ref<'task'>, TaskRecord][]).filter(
      ([, { status, result }]) => status === 'success' && result.includes(resultHolds),
    );
    for (const [ref] of found) await forgetTask(xapi, ref);
    if (found.length > 0) return;
    if (look < LOOKS) await wait(1);
  }
}
