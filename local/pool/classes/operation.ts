import type { Value } from '../database/value.ts';
import { asFailure } from '../failure.ts';
import { withFault } from '../faults.ts';
import type { Context } from '../state.ts';
import { completeTask, createTask, failTask } from './task.ts';

/** Runs an operation inside another as xapi does: a visible subtask, which goes when the operation has ended. */
export async function withSubtask<T extends Value>(
  context: Context,
  method: string,
  args: readonly Value[],
  work: (subtask: Context) => Promise<T>,
): Promise<T> {
  const { pool, host, session, task: subtaskOf } = context;
  const task = createTask(pool, { label: `Async.${method}`, session, host: host.ref, subtaskOf });
  try {
    const fault = pool.faults.forOperation(method, args);
    const result = await withFault(fault, pool.clock, () => work({ ...context, task }));
    completeTask(pool, task, result);
    return result;
  } catch (error) {
    failTask(pool, task, asFailure(error));
    throw error;
  } finally {
    if (pool.db.has('task', task)) pool.db.destroy('task', task);
  }
}
