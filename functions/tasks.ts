import { isCode } from '../xapi/errors.ts';
import type { Session } from '../xapi/session.ts';
import type { Ref, TaskRecord } from '../xapi/types.ts';

/** Removes a task's record, which xapi would keep for an hour. */
export async function forgetTask(xapi: Session, taskRef: Ref<'task'>): Promise<void> {
  try {
    await xapi.call('task.destroy', taskRef);
  } catch (error) {
    if (!isCode(error, 'HANDLE_INVALID')) throw error;
  }
}

/**
 * Removes the record of a call whose reply, and with it the task's reference, was lost. It is known by its result,
 * which holds what only that call can have made.
 */
export async function forgetLostTask(xapi: Session, method: string, resultHolds: string): Promise<void> {
  const tasks = await xapi.call('task.get_all_records_where', `field "name__label" = "${method}"`);
  for (const [ref, task] of Object.entries(tasks) as [Ref<'task'>, TaskRecord][])
    if (task.status === 'success' && task.result.includes(resultHolds)) await forgetTask(xapi, ref);
}
