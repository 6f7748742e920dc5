import type { Session } from '../../xapi/session.ts';
import { entriesOf, type Ref, type TaskRecord } from '../../xapi/types.ts';
import type { StepDeps } from '../step.ts';
import { GONE, unlessUnknown } from './gone.ts';
import { tagsOf } from './tags.ts';

/** A task's record; undefined when xapi has forgotten it: after an hour, and a pending one when xapi restarts. */
export async function taskRecord(xapi: Session, taskRef: Ref<'task'>): Promise<TaskRecord | undefined> {
  const found = await unlessUnknown('task', taskRef, () => xapi.call('task.get_record', taskRef));
  return found === GONE ? undefined : found;
}

/**
 * The job whose upload or download a task was, as the plugin's own answer says, for one that could not be tagged because
 * its reference was lost. Undefined for any other task, and where the plugin's process was killed.
 */
export function jobOfTransfer({ name_label, status, result, error_info }: TaskRecord): string | undefined {
  if (name_label !== 'Async.host.call_plugin') return undefined;
  // JSON as XML has it.
  if (status === 'success') return /jobId(?:"|&quot;): ?(?:"|&quot;)([0-9a-f-]{36})/.exec(result)?.[1];
  // Code, message, whether to try again, and the job.
  return /^[0-9a-f-]{36}$/.exec(error_info[3] ?? '')?.[0];
}

/**
 * Marks a task as a job's, so that the janitor finds its record, whatever becomes of the job's. Housekeeping: xapi
 * removes the record of a task 65 minutes after its end.
 */
export async function tagTask(
  { xapi, log, job, config }: Pick<StepDeps, 'xapi' | 'log' | 'job' | 'config'>,
  taskRef: Ref<'task'>,
): Promise<void> {
  try {
    for (const [key, value] of Object.entries(tagsOf(job.id, config.installation)))
      await xapi.call('task.add_to_other_config', taskRef, key, value);
  } catch (error) {
    log.warn('a xapi task could not be tagged', { reason: String(error) });
  }
}

/**
 * Removes a task's record, which xapi would keep for an hour. Housekeeping, which decides no job: it is tried twice, a
 * failure is logged and answered with false, and xapi removes the record itself.
 */
export async function forgetTask(
  { xapi, log }: Pick<StepDeps, 'xapi' | 'log'>,
  taskRef: Ref<'task'>,
): Promise<boolean> {
  const destroy = () => unlessUnknown('task', taskRef, () => xapi.call('task.destroy', taskRef));
  try {
    await destroy().catch(destroy);
    return true;
  } catch (error) {
    log.warn('the record of a xapi task could not be removed', { reason: String(error) });
    return false;
  }
}

/** Looks for a lost task, a second apart. */
const LOOKS = 5;

/**
 * Removes the record of a call whose reply, and with it the task's reference, was lost. It is known by its result,
 * which holds what only that call can have made; and since what it made can be seen a moment before the task is over,
 * it is looked for more than once. One that xapi forgot itself, when it restarted say, is not there. As with
 * {@link forgetTask}, a failure decides nothing.
 */
export async function forgetLostTask(
  { xapi, wait, log }: Pick<StepDeps, 'xapi' | 'wait' | 'log'>,
  method: string,
  resultHolds: string,
): Promise<void> {
  try {
    for (let look = 1; look <= LOOKS; look++) {
      const tasks = await xapi.call('task.get_all_records_where', `field "name__label" = "${method}"`);
      const found = entriesOf(tasks).filter(
        ([, { status, result }]) => status === 'success' && result.includes(resultHolds),
      );
      for (const [ref] of found) await forgetTask({ xapi, log }, ref);
      if (found.length > 0) return;
      if (look < LOOKS) await wait(1);
    }
  } catch (error) {
    log.warn('a xapi task whose reply was lost could not be looked for', { reason: String(error) });
  }
}
